#!/bin/sh
# Asks `mobileclip serve` by curl: sh examples/client.sh PICTURE TEXT. With a token: MOBILECLIP_TOKEN.
set -eu
url="${MOBILECLIP_URL:-http://127.0.0.1:8000}"
ask() {
  curl --fail-with-body --silent --show-error "$url$1" -H 'Content-Type: application/json' \
    ${MOBILECLIP_TOKEN:+-H "Authorization: Bearer $MOBILECLIP_TOKEN"} --data-binary @-
  echo
}

# A vector of a text, as JSON writes it; for a model, line breaks are spaces.
text="$(printf '%s' "$2" | tr '[:cntrl:]' ' ' | sed 's/[\\"]/\\&/g')"
printf '{"input": "%s"}' "$text" | ask /v1/embeddings
# Labels of a picture, from a pipe: a picture may be too long for a command line.
printf '{"images": ["%s"], "labels": ["red", "blue"], "top": 1}' "$(base64 <"$1" | tr -d '\n')" | ask /v1/classify
