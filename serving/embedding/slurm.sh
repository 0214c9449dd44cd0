#!/bin/bash
# A corpus embedded by a Slurm array, worker I of 64 being task I:
#
#     sbatch serving/embedding/slurm.sh savedmodels/photos captions.csv --images photos --to embeddings
#
# A task that failed or was cut off by its time limit is submitted again, alone, and goes on where it stopped:
#
#     sbatch --array=7 serving/embedding/slurm.sh savedmodels/photos captions.csv --images photos --to embeddings
#
# With another number of workers, sbatch --array=0-15 --export=ALL,WORKERS=16. It stays the same for all tasks of a run:
# Slurm's own count of tasks is 1 where one is submitted again.
#SBATCH --job-name=embed
#SBATCH --array=0-63
#SBATCH --cpus-per-task=4
#SBATCH --mem=4G
#SBATCH --time=04:00:00
#SBATCH --output=embed-%A-%a.log
set -euo pipefail

exec mmkeras embed "$@" --shard "${SLURM_ARRAY_TASK_ID:?submit this with sbatch}/${WORKERS:-64}"
