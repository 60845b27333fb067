#!/bin/sh
# A payment with curl, its certificate looked at by OpenSSL first: sh examples/merchant.sh test.key trust.pem
set -eu
url=${TALLYSTICK_API_URL:-https://localhost:8445}
host=${url#https://}
openssl s_client -connect "$host" -CAfile "$2" -verify_return_error -tls1_3 </dev/null 2>/dev/null | grep "Verification: OK"
printf 'header = "Authorization: Bearer %s"\n' "$(cat "$1")" |
  curl --silent --show-error --fail-with-body --cacert "$2" --config - "$url/v1/payments" \
    --header "Idempotency-Key: order-curl" --header "Content-Type: application/json" \
    --data '{"policy": "account", "order": {"payee": "Bookshop", "amount": 1999, "currency": "EUR"}}'
