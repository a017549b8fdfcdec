#!/bin/sh
# Simulates a coding agent, so that the workflow needs no key and always gives the same result.
#
#   agent.sh plan TASK            prints a plan
#   agent.sh implement FOLDER     writes FOLDER/slug.sh; reads the last test report from standard input
#
# It fixes only the first failure of the report, so it takes several rounds.
set -eu

case $1 in
plan)
    printf '%s\n' "Plan: $2" "1. Write slug.sh, which prints the slug of its argument." "2. Fix what the tests report."
    ;;
implement)
    file=$2/slug.sh
    report=$(cat)
    [ -e "$file" ] || printf '#!/bin/sh\nprintf %%s "$1"' > "$file"
    case $(printf '%s\n' "$report" | grep '^FAIL' | head -n 1) in
    *"capital letters"*) stage="tr '[:upper:]' '[:lower:]'" ;;
    *punctuation*) stage="tr -c '[:alnum:]' '-' | tr -s '-'" ;;
    *"dash at the end"*) stage="sed 's/^-//; s/-\$//'" ;;
    *) echo "wrote a first draft"; exit ;;
    esac
    grep -qF "$stage" "$file" || printf ' |\n    %s' "$stage" >> "$file"
    echo "added: $stage"
    ;;
*)
    echo "usage: agent.sh plan TASK | implement FOLDER" >&2
    exit 2
    ;;
esac
