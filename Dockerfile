# One image for gateway, worker, archiver, desk and the commands; docker-compose.yml says which it is and how its health is asked.
# Kafka's jars are not in it: the embedded broker is for the demo and the tests.
FROM python:3.11.13-slim-bookworm AS build
ENV PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 UV_LINK_MODE=copy
WORKDIR /build
COPY requirements/uv.txt requirements/base.txt requirements/
RUN python -m venv /opt/offsite/venv \
 && python -m pip install --require-hashes -r requirements/uv.txt \
 && uv pip sync --no-cache --compile-bytecode --python /opt/offsite/venv/bin/python --require-hashes requirements/base.txt
COPY LICENSE README.md pyproject.toml ./
COPY rules rules
COPY streams streams
COPY monitor monitor
RUN uv pip install --no-cache --compile-bytecode --python /opt/offsite/venv/bin/python --no-deps --no-build-isolation .
# Compiled for any processor of this architecture, so that the machine that runs the image finds them whatever built it.
ENV NUMBA_CPU_NAME=generic NUMBA_CACHE_DIR=/opt/offsite/kernels
WORKDIR /
RUN /opt/offsite/venv/bin/python -c "from rules import kernels; kernels.warm()" && test -n "$(ls /opt/offsite/kernels)"

FROM python:3.11.13-slim-bookworm
RUN groupadd --gid 10001 offsite \
 && useradd --uid 10001 --gid offsite --no-create-home --home-dir /tmp --shell /usr/sbin/nologin offsite \
 && install -d -o offsite -g offsite -m 0750 /var/lib/offsite/archive /var/lib/offsite/worker /var/lib/offsite/proofs
COPY --from=build /opt/offsite /opt/offsite
COPY deploy/entry.sh deploy/probe.py /opt/offsite/
ENV PATH=/opt/offsite/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 NUMBA_CPU_NAME=generic
WORKDIR /var/lib/offsite
USER 10001:10001
ENTRYPOINT ["sh", "/opt/offsite/entry.sh"]
CMD ["--help"]
