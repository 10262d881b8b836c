# One image, two environments: /opt/grader/.venv serves, /opt/grader/.venv-runner holds what students may import.
#
#   docker build -t grader .
#   docker build -t grader --build-arg TORCH=1 --build-arg PIP_EXTRA_INDEX_URL=... .
#
# Only what every builder knows is used here, so the classic one works as BuildKit does. BASE: any Debian or Ubuntu with
# Python 3.11 to 3.13 in it or in its package index. PIP_*: where pip looks, as environment variables of pip itself; they
# stay in the first stage and are in neither the image nor its history.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS python
RUN set -eu; \
    command -v python3 >/dev/null && test -d /etc/ssl/certs || { \
        apt-get update; \
        DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ca-certificates python3; \
        rm -rf /var/lib/apt/lists/* /var/cache/apt/*; \
    }; \
    python3 -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "Python 3.11 to 3.13 is needed")'


FROM python AS environments
RUN python3 -c 'import ensurepip, venv' 2>/dev/null || { \
        apt-get update; \
        DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends python3-venv; \
    }
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_FIND_LINKS
ARG PIP_NO_INDEX
ARG PIP_TRUSTED_HOST
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /opt/grader
COPY deploy/requirements/figures.txt deploy/requirements/torch.txt requirements/
ARG TORCH
# Neither environment keeps pip: nothing is installed later, and students' code has no use for it.
RUN python3 -m venv .venv-runner \
    && .venv-runner/bin/pip install --quiet --require-hashes -r requirements/figures.txt \
    && if [ -n "${TORCH:-}" ]; then .venv-runner/bin/pip install --quiet -r requirements/torch.txt; fi \
    && .venv-runner/bin/pip uninstall --quiet --yes pip setuptools
COPY deploy/requirements/service.txt requirements/
RUN python3 -m venv .venv \
    && .venv/bin/pip install --quiet --require-hashes -r requirements/service.txt \
    && .venv/bin/pip uninstall --quiet --yes pip setuptools \
    && echo /opt/grader > "$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/grader.pth"


FROM python
# 10001 is nobody on the machine outside. /data is for SQLite only; with PostgreSQL nothing is written to disk.
RUN echo 'grader:x:10001:10001::/nonexistent:/usr/sbin/nologin' >> /etc/passwd \
    && echo 'grader:x:10001:' >> /etc/group \
    && install -d -o 10001 -g 10001 -m 0700 /data
WORKDIR /opt/grader
COPY --from=environments /opt/grader/.venv-runner .venv-runner
COPY --from=environments /opt/grader/.venv .venv
COPY deploy/container/grader /usr/local/bin/grader
COPY deploy/container/health.py deploy/container/health.py
COPY migrations migrations
COPY reference reference
COPY grader grader
RUN chmod 0755 /usr/local/bin/grader && .venv/bin/python -m compileall -q grader migrations
ENV GRADER_DATA_DIR=/data HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["/opt/grader/.venv/bin/python", "-I", "/opt/grader/deploy/container/health.py"]
ENTRYPOINT ["grader"]
CMD ["serve"]
