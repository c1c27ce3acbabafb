"""Tests of the partner file readers and writers."""
