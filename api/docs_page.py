"""The reference as a web page of our own: it loads nothing from anywhere, so it also works without the internet.

The page is written on the server from the OpenAPI document; a small script sends a request and shows the answer.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from html import escape
from typing import Any, Final

_STYLE: Final = """
:root{color-scheme:light dark;--line:#8885;--soft:#8881}
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:62rem;padding:1rem}
h1{margin:.2em 0}h2{margin:2rem 0 .5rem;border-bottom:1px solid var(--line)}
details{border:1px solid var(--line);border-radius:.4rem;margin:.4rem 0;padding:0 .8rem}
summary{cursor:pointer;padding:.5rem 0}summary b{display:inline-block;min-width:4.2rem}
summary code{font-weight:600}summary span{opacity:.8;margin-left:.8rem}
pre,textarea{font:13px/1.45 ui-monospace,monospace;background:var(--soft);padding:.6rem;overflow:auto;
border-radius:.3rem;width:100%;box-sizing:border-box;border:1px solid var(--line)}
table{border-collapse:collapse;width:100%}td,th{border-top:1px solid var(--line);padding:.25rem .5rem;text-align:left;
vertical-align:top}input{font:inherit;width:100%;box-sizing:border-box}button{font:inherit;padding:.2rem 1rem}
nav a{margin-right:1rem}#token{max-width:40rem}
"""

_SCRIPT: Final = """
for (const form of document.querySelectorAll('form')) form.addEventListener('submit', async event => {
  event.preventDefault();
  const out = form.querySelector('output'), fields = new FormData(form), headers = {}, query = new URLSearchParams();
  let path = form.dataset.path;
  for (const [name, value] of fields) {
    const [place, key] = name.split(/:(.*)/s);
    if (!value && place !== 'body') continue;
    if (place === 'path') path = path.replace('{' + key + '}', encodeURIComponent(value));
    if (place === 'query') query.set(key, value);
    if (place === 'header') headers[key] = value;
  }
  const token = document.getElementById('token').value.trim();
  if (token) headers['Authorization'] = 'Bearer ' + token;
  const body = fields.get('body');
  if (body !== null) headers['Content-Type'] = form.dataset.type;
  const parameters = query.toString();
  try {
    const response = await fetch(path + (parameters ? '?' + parameters : ''),
      {method: form.dataset.method, headers, body: body === null ? undefined : body});
    let text = await response.text();
    try { text = JSON.stringify(JSON.parse(text), null, 2); } catch (ignored) { }
    out.innerHTML = '<pre></pre>';
    out.firstChild.textContent = response.status + ' ' + response.statusText + '\\n\\n' + text;
  } catch (failure) { out.textContent = String(failure); }
});
"""


def docs_page(document: Mapping[str, Any], *, sending: bool) -> str:
    """The page of an OpenAPI document; with `sending`, each operation has a form that sends it."""
    schemas = document["components"]["schemas"]
    operations = [
        (tag, path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        for tag in operation["tags"][:1]
    ]
    tags = [tag["name"] for tag in document["tags"] if any(tag["name"] == name for name, *_ in operations)]
    sections = []
    for tag in tags:
        entries = [
            _operation(path, method, operation, schemas, sending=sending)
            for name, path, method, operation in operations
            if name == tag
        ]
        sections.append(f'<h2 id="{escape(tag)}">{escape(tag.title())}</h2>{"".join(entries)}')
    token = '<p><label>Bearer token <input id="token" autocomplete="off"></label></p>' if sending else ""
    script = f"<script>{_SCRIPT}</script>" if sending else ""
    links = "".join(f'<a href="#{escape(tag)}">{escape(tag.title())}</a>' for tag in tags)
    introduction = "".join(f"<p>{escape(part)}</p>" for part in document["info"]["description"].split("\n\n"))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(document['info']['title'])} API</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(document['info']['title'])} API</h1>{introduction}"
        f'<p><a href="/openapi.json">OpenAPI document</a></p><nav>{links}</nav>{token}{"".join(sections)}{script}'
        "</body></html>"
    )


def content_policy() -> str:
    """The page's content policy: its own style and script by their hashes, and requests to its own origin."""
    style, script = (_digest(text) for text in (_STYLE, _SCRIPT))
    return (
        f"default-src 'none'; style-src '{style}'; script-src '{script}'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _operation(
    path: str, method: str, operation: Mapping[str, Any], schemas: Mapping[str, Any], *, sending: bool
) -> str:
    codes = "".join(
        f"<tr><td>{status}</td><td>{_lines(response['description'])}</td></tr>"
        for status, response in operation["responses"].items()
    )
    parameters = "".join(
        f"<tr><td><code>{escape(p['name'])}</code></td><td>{p['in']}</td>"
        f"<td>{escape(p.get('description', ''))}</td></tr>"
        for p in operation.get("parameters", [])
    )
    media_type, body = next(iter(operation.get("requestBody", {}).get("content", {}).items()), ("", None))
    schema = "" if body is None else f"<h4>Body</h4><pre>{_json(_resolved(body['schema'], schemas))}</pre>"
    return (
        f'<details id="{escape(operation["operationId"])}"><summary><b>{method.upper()}</b><code>{escape(path)}</code>'
        f"<span>{escape(operation.get('summary', ''))}</span></summary>"
        f"<p>{escape(operation.get('description', ''))}</p>"
        + (f"<table>{parameters}</table>" if parameters else "")
        + schema
        + (_form(path, method, operation, media_type, body) if sending else "")
        + f"<h4>Answers</h4><table>{codes}</table></details>"
    )


def _form(path: str, method: str, operation: Mapping[str, Any], media_type: str, body: Mapping[str, Any] | None) -> str:
    fields = "".join(
        f'<p><label>{escape(p["name"])} <input name="{p["in"]}:{escape(p["name"])}" '
        f'value="{escape(str(p.get("example", "")))}"></label></p>'
        for p in operation.get("parameters", [])
    )
    if body is not None:
        example = body.get("example", body["schema"].get("example"))
        text = "" if example is None else _json(example)
        fields += f'<p><textarea name="body" rows="10" spellcheck="false">{text}</textarea></p>'
    return (
        f'<form data-path="{escape(path)}" data-method="{method.upper()}" data-type="{escape(media_type)}">'
        f"{fields}<p><button>Send</button></p><output></output></form>"
    )


def _lines(text: str) -> str:
    return "<br>".join(escape(line.removeprefix("- ").replace("`", "")) for line in text.split("\n"))


def _json(value: object) -> str:
    return escape(json.dumps(value, indent=2, ensure_ascii=False))


def _resolved(schema: Any, schemas: Mapping[str, Any], depth: int = 0) -> Any:
    """The schema with its references written out, a few levels deep."""
    if isinstance(schema, Mapping):
        name = str(schema.get("$ref", "")).rpartition("/")[2]
        if name and depth < 6:
            return _resolved(schemas[name], schemas, depth + 1)
        return {key: _resolved(value, schemas, depth) for key, value in schema.items()}
    return [_resolved(value, schemas, depth) for value in schema] if isinstance(schema, list) else schema
