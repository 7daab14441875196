#!/usr/bin/env bash
# Everything that needs a GPU, within 25 minutes, the most valuable first. Each result is written as soon as it is there.
#   bash benchmarks/gpu_all.sh [tests] [burst] [cost] [overhead]     # all of them without a name
# PYTHON is the interpreter (torch, transformers, peft, accelerate and pytest are enough). Where OUT names a folder, results are
# copied there after each part, so that a run that is cut short leaves what it had.
set -u
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
export PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
failed=0

keep() {
    [ -n "${OUT:-}" ] || return 0
    for file in "$@"; do [ -e "$file" ] && cp "$file" "$OUT/"; done
}

part() {  # name, seconds at most, files, command
    local name=$1 limit=$2 files=$3
    shift 3
    echo "── $name ($(date -u +%H:%M:%S), at most ${limit} s)"
    # shellcheck disable=SC2086
    timeout --kill-after=20 "$limit" "$@" || { echo "$name: failed or out of time ($?)"; failed=1; }
    # shellcheck disable=SC2086
    keep $files
}

[ $# -gt 0 ] || set -- tests burst cost overhead
for wanted in "$@"; do
    case $wanted in
        tests)
            part "what only a GPU has" 200 "" "$PYTHON" -m pytest tests/gpu/test_cuda.py tests/gpu/test_memory.py \
                -p no:cacheprovider -W default --checks-report=gpu_report_cuda.json
            keep gpu_report_cuda.json
            part "promises of tier G" 340 gpu_report.json "$PYTHON" -m pytest tests/gpu/test_promises.py \
                -p no:cacheprovider -W default --checks-report=gpu_report.json ;;
        burst)
            part "a burst beside a bare loop" 300 benchmarks/results/gpu_burst.json "$PYTHON" -m benchmarks.gpu_burst ;;
        cost)
            part "foretold against real" 480 "benchmarks/results/gpu_cost.json benchmarks/results/gpu_cost.md" \
                "$PYTHON" -m benchmarks.gpu_cost --workers "${WORKERS:-6}" ;;
        overhead)
            part "all ways of training" 180 benchmarks/results/overhead_gpu.json "$PYTHON" benchmarks/overhead.py \
                --device cuda --out benchmarks/results/overhead_gpu.json ;;
        *) echo "no part is called $wanted"; exit 2 ;;
    esac
done
exit $failed
