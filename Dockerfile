# syntax=docker/dockerfile:1
# The web page and the JSON API on a CPU:
#   docker build -t ulmfit .
#   docker run --rm -p 8000:8000 ulmfit                              the bundled classifiers
#   docker run --rm -p 8000:8000 -v "$PWD/models/mine:/models:ro" ulmfit --clf /models/clf

FROM python:3.13-slim AS build
WORKDIR /project
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/ulmfit
ENV PATH=/opt/ulmfit/bin:$PATH
COPY constraints.txt ./
# torch's build for CPUs, in a layer of its own: it changes least and is the largest.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --constraint constraints.txt --index-url "$TORCH_INDEX" torch torchvision
COPY pyproject.toml README.md LICENSE ./
COPY ulmfit ulmfit
COPY stages stages
COPY models models
COPY packages packages
RUN pip install --constraint constraints.txt '.[hub]' ./packages/ulmfit-models-en

FROM python:3.13-slim
RUN useradd --create-home --uid 1000 ulmfit
COPY --from=build /opt/ulmfit /opt/ulmfit
ENV PATH=/opt/ulmfit/bin:$PATH PYTHONUNBUFFERED=1 ULMFIT_CACHE=/home/ulmfit/cache
USER 1000
WORKDIR /home/ulmfit
EXPOSE 8000
# Loading the models takes some seconds.
HEALTHCHECK --start-period=60s --interval=30s --timeout=5s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=4)"]
# Port and host can be given again after the image's name: the last one counts.
ENTRYPOINT ["ulmfit", "serve", "--host", "0.0.0.0", "--port", "8000"]
