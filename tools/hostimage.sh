#!/usr/bin/env bash
# hostimage.sh OUT ENTRYPOINT SOURCE:TARGET... [-TARGET...]: packs programs, files and folders of this machine, and the shared
# libraries that they need, into an image archive in the format of docker save, which `kubebox load-image REF OUT` takes.
# So a test has interpreters in pods without a registry. ENTRYPOINT is a JSON list, as in a Dockerfile; -TARGET leaves out
# a part of a folder. Equal input gives equal images.
set -euo pipefail
out=$1 entrypoint=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root/tmp" "$root/etc"
echo 'nonroot:x:65532:65532:nonroot:/:/' >"$root/etc/passwd"
for file in "$@"; do
  case $file in -*) rm -rf "$root${file#-}" && continue ;; esac
  target=$root${file#*:}
  mkdir -p "$(dirname "$target")"
  cp -RL "${file%%:*}" "$target"
done
# ldd fails for what has no libraries, such as a script, and names the dynamic loader as it does libraries.
{ find "$root" -type f \( -perm /111 -o -name '*.so*' \) -exec ldd {} + 2>/dev/null || true; } |
  awk '$NF ~ /^\(0x/ && $(NF - 1) ~ /^\// { print $(NF - 1) }' | sort -u |
  while read -r library; do cp -L --parents "$library" "$root"; done
chmod -R u=rwX,go=rX "$root"
chmod 1777 "$root/tmp"
tar -C "$root" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf "$work/layer.tar" .
cat >"$work/config.json" <<JSON
{"architecture":"$(go env GOARCH)","os":"linux","config":{"Entrypoint":$entrypoint,"Env":["PATH=/usr/bin:/bin"]},
 "rootfs":{"type":"layers","diff_ids":["sha256:$(sha256sum "$work/layer.tar" | cut -d' ' -f1)"]}}
JSON
echo '[{"Config":"config.json","RepoTags":["host:dev"],"Layers":["layer.tar"]}]' >"$work/manifest.json"
tar -C "$work" -cf "$out" manifest.json config.json layer.tar
