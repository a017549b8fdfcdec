#!/bin/sh
# Tests FOLDER/slug.sh: check.sh FOLDER. Prints one line per test, and exits with 1 if any test failed.
set -eu
failed=0

check() {
    got=$(sh "$1/slug.sh" "$3")
    if [ "$got" = "$4" ]; then
        echo "ok   $2"
    else
        echo "FAIL $2: the slug of '$3' should be '$4', got '$got'"
        failed=1
    fi
}

check "$1" "one word" release release
check "$1" "capital letters" Release release
check "$1" "spaces and punctuation" "release: day one" release-day-one
check "$1" "no dash at the end" "Release day!" release-day
exit "$failed"
