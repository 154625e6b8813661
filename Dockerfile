# The process group in one container: supervisord over one process a worker. Database, object store and Kafka are
# elsewhere; name them by environment variables or by a file mounted at /etc/wbd/wbd.env.
#
#   docker build -t wbd .
#   docker run --stop-timeout 40 -p 8080:8080 -e VITESS_HOST=... -e KAFKA_BROKERS=... wbd

FROM python:3.11-slim-bookworm AS wheels
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml constraints.txt setup.py README.md LICENSE ./
COPY wbd ./wbd
RUN pip wheel --no-cache-dir --constraint constraints.txt --wheel-dir /wheels .

FROM python:3.11-slim-bookworm
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/*
# From the first stage alone, so that what runs is what was built there.
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links=/wheels wbd
COPY supervisord.conf /etc/wbd/supervisord.conf
# In a container logs go to its output, which somebody else rotates.
RUN sed -i -e 's#^stdout_logfile=.*#stdout_logfile=/dev/fd/1#' -e 's#^stdout_logfile_maxbytes=.*#stdout_logfile_maxbytes=0#' /etc/wbd/supervisord.conf
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/wbd --shell /usr/sbin/nologin wbd \
    && install --directory --owner=wbd --group=wbd --mode=0700 /var/lib/wbd
ENV WBD_STATE_DIR=/var/lib/wbd \
    API_HOST=0.0.0.0 \
    PYTHONUNBUFFERED=1
USER wbd
WORKDIR /var/lib/wbd
EXPOSE 8080
# Exit code 0 only while every program runs and every worker is ready.
HEALTHCHECK --interval=30s --timeout=15s --start-period=60s --retries=3 CMD ["wbd", "status", "--json"]
ENTRYPOINT ["tini", "--"]
# The folders are made here because a volume mounted over the state folder is empty.
CMD ["sh", "-c", "install -d -m 0700 \"$WBD_STATE_DIR/run\" \"$WBD_STATE_DIR/log\" && exec supervisord -n -c /etc/wbd/supervisord.conf"]
