# The loss and its commands on a CPU, in the versions that the tests use: docs/index.md, "In a container".
FROM python:3.11-slim
# note: torch from PyPI brings gigabytes of CUDA along.
RUN --mount=type=bind,source=constraints.txt,target=/constraints.txt \
    pip install --no-cache-dir --constraint /constraints.txt --index-url https://download.pytorch.org/whl/cpu torch
RUN --mount=type=bind,source=.,target=/source \
    pip install --no-cache-dir --constraint /source/constraints.txt /source
RUN useradd --create-home --uid 1000 artist
USER 1000
WORKDIR /drawings
ENTRYPOINT ["sketchloss"]
CMD ["--help"]
