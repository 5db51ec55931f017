#!/usr/bin/env bash
# Run every notebook of the checkout $1 with papermill; executed copies and failures.txt go to $2.
# The set-up cell installs the course from the public repository, as it does for a reader.
set -uo pipefail
course=$1 out=$2
mkdir -p "$out/executed"
: > "$out/failures.txt"
before=$(python3 -c 'import torch; print(torch.__version__)')
python3 -m pip install -q papermill || exit 1
status=0
for notebook in "$course"/notebooks/*.ipynb; do
	name=$(basename "$notebook")
	echo "== $name"
	folder=$(mktemp -d)
	if ! python3 -m papermill --cwd "$folder" -p FAST True --no-progress-bar "$notebook" "$out/executed/$name" \
		> "$out/$name.log" 2>&1; then
		status=1
		{ echo "== $name"; tail -n 20 "$out/$name.log"; } | tee -a "$out/failures.txt"
	fi
done
after=$(python3 -c 'import torch; print(torch.__version__)')
if [ "$before" != "$after" ]; then
	echo "the set-up cell changed torch from $before to $after" | tee -a "$out/failures.txt"
	status=1
fi
exit $status
