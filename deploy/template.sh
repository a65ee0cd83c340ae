#!/usr/bin/env bash
# `make template`: prints the template that `make deploy` would deploy, and on stderr what was generated. It needs no AWS account.
#
#   JOBS          the file with the jobs; if not given, longhaul.toml, if there is one
#   PACKAGE       zip or image: how the functions are packaged; zip if not given
#   ARCHITECTURE  of the installation; jobs for another one are refused
#   AWS_REGION    the Region, to check where images come from
#   PARAMETERS    only InternetEgress=true is read: then tasks can reach everything, and nothing has to be warned of
# shellcheck source=deploy/common.sh
source "$(dirname "$0")/common.sh"

need cargo "see https://rustup.rs"
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
resolve_jobs "$folder"
[[ " ${PARAMETERS:-} " != *" InternetEgress=true "* ]] || job_options+=(--internet-egress)
python3 deploy/template.py "${job_options[@]}" --summary
