#!/bin/sh
# Creates a small git repository for the pipeline: make-repository.sh FOLDER [--broken]
#
# With --broken, adds a commit with a failing unit test to the existing repository.
set -eu
folder=$1

commit() {
    git -C "$folder" add --all
    git -C "$folder" -c user.name=Ada -c user.email=ada@example.com -c commit.gpgsign=false commit --quiet -m "$1"
}

if [ "${2:-}" = --broken ]; then
    printf '#!/bin/sh\necho "Hullo, $1!"\n' > "$folder/greet.sh"
    commit "Greet in another way"
    exit
fi

git init --quiet --initial-branch=main "$folder"
mkdir -p "$folder/tests"
printf '#!/bin/sh\necho "Hello, $1!"\n' > "$folder/greet.sh"
cat > "$folder/tests/greet.sh" <<'END'
#!/bin/sh
got=$(sh greet.sh Ada)
[ "$got" = "Hello, Ada!" ] || { echo "expected Hello, Ada! but got $got" >&2; exit 1; }
END
echo 1.0.0 > "$folder/VERSION"
commit "Greet"
