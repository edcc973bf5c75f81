# The operator's image: Node.js and one file. `docker build --tag cloud-account-operator .`
#
# BASE_IMAGE: what the operator runs on; any image with a Node.js 24 called `node` in its PATH will do. No shell, npm or
# package manager is used there. BUILD_IMAGE: where it is bundled.
ARG BASE_IMAGE=docker.io/library/node:24-bookworm-slim
ARG BUILD_IMAGE=docker.io/library/node:24-bookworm-slim

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY package.json package-lock.json ./
# Without scripts: those would fetch a Node.js that this image has already.
RUN npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
COPY scripts/build.ts scripts/
COPY operator operator
# The source map stays behind: it is larger than the bundle, and stack traces name the bundle's own functions.
RUN node scripts/build.ts && chmod -R a=rX dist

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=
ARG CREATED=
LABEL org.opencontainers.image.title="cloud-account-operator" \
      org.opencontainers.image.description="Keeps connections to cloud provider accounts verified and healthy" \
      org.opencontainers.image.url="https://github.com/strackt/cloud-account-operator" \
      org.opencontainers.image.source="https://github.com/strackt/cloud-account-operator" \
      org.opencontainers.image.documentation="https://github.com/strackt/cloud-account-operator/tree/main/docs" \
      org.opencontainers.image.vendor="strackt" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
# One arena of glibc's malloc in place of eight for each core, which keep what threads gave back: some 10 MiB less.
ENV NODE_ENV=production MALLOC_ARENA_MAX=1
WORKDIR /app
COPY LICENSE ./
COPY --from=build /src/dist/operator.mjs dist/operator.mjs
# By number, so that runAsNonRoot can be checked. Any other user works as well: nothing is written, and all may read.
USER 65532:65532
EXPOSE 8080 8081
# Node.js itself is process 1 and gets the signals; npm or a shell in between would keep them to itself.
# This is the one place for its options: the chart gives arguments alone.
# Young garbage is collected at 4 MiB, not at 16: some 20 MiB less at 1,000 accounts, and no slower (docs/benchmarks.md).
# SIGUSR1 does not open a debugger, which could read every credential in memory.
ENTRYPOINT ["node", "--max-semi-space-size=4", "--disable-sigusr1", "/app/dist/operator.mjs"]
