#!/bin/sh
# Builds the service; the one place that knows the flags. The same source, toolchain
# and inputs give the same bytes.
#   VERSION=1.2.3 COMMIT=abc [GOOS=linux GOARCH=amd64] sh service/build.sh OUTPUT
set -eu
: "${1:?usage: VERSION=... COMMIT=... sh build.sh OUTPUT}"
case $1 in
/*) output=$1 ;;
*) output=$PWD/$1 ;;
esac
cd "$(dirname "$0")"
GOWORK=off CGO_ENABLED=0 exec go build -trimpath -buildvcs=false \
	-ldflags "-s -w -buildid= -X main.version=${VERSION:-} -X main.commit=${COMMIT:-}" -o "$output" .
