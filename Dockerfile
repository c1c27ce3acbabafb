# One image for every process of the service: the API, the projector, the scheduler, workers (see docker-compose.yml).
FROM python:3.11-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

# What is pinned changes seldom: a layer of its own, every file checked against its hash.
COPY requirements.lock ./
RUN pip install --require-hashes -r requirements.lock

COPY pyproject.toml README.md ./
COPY domain ./domain
COPY application ./application
COPY projections ./projections
COPY infrastructure ./infrastructure
COPY api ./api
RUN pip install --no-deps --no-build-isolation --editable . \
    && useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin rollon \
    && mkdir /app/var && chown rollon /app/var

USER rollon
EXPOSE 8000
ENTRYPOINT ["rollon"]
CMD ["serve", "--host", "0.0.0.0"]
