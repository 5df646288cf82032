#!/bin/bash
# Submits an ensemble, and a comparison of its members that waits for it.
#
#     bash ensemble-then-compare.sh 8 python driver.py --seed '{task}'
#
# Runs on the login node and returns at once. Prints the two job numbers; a job that must wait for
# the verdict is submitted with --dependency=afterok:<the second>. SBATCH_PARTITION,
# SBATCH_ACCOUNT, SBATCH_TIMELIMIT and the like hold for both jobs; ENSEMBLE_OPTIONS and
# COMPARE_OPTIONS are further words for sbatch and for `simckpt compare`.

set -euo pipefail

if [ $# -lt 2 ] || ! [ "$1" -gt 1 ] 2>/dev/null; then
    echo "usage: bash ensemble-then-compare.sh members command [arguments]" >&2
    exit 64
fi
here=$(cd "$(dirname "$0")" && pwd)
members=$1
shift
read -ra ensemble <<<"${ENSEMBLE_OPTIONS:-}"
read -ra compare <<<"${COMPARE_OPTIONS:-}"

folder=${SIMCKPT_FOLDER:-ensemble-$(date +%Y%m%dT%H%M%S)}
export SIMCKPT_FOLDER=$folder
bundles=()
for ((member = 1; member <= members; member++)); do
    bundles+=("$folder/member-$member.simckpt.h5")
done

first=$(sbatch --parsable --array="1-$members" "${ensemble[@]}" "$here/array.sbatch" "$@")
# Without kill-on-invalid-dep the comparison would wait for ever once a member has failed.
second=$(sbatch --parsable --dependency="afterok:${first%%;*}" --kill-on-invalid-dep=yes \
    "$here/compare.sbatch" "${compare[@]}" -- "${bundles[@]}")
echo "${first%%;*} ${second%%;*}"
echo "bundles in $folder" >&2
