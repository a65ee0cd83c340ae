#!/usr/bin/env bash
# Fails if a word or phrase is used for which this project has a better one. It can only cover those that are
# never right here. The history in CHANGELOG.md, generated files and snapshots are not searched.
set -euo pipefail
cd "$(dirname "$0")/.."

# A Perl regular expression, and what to write instead.
words=(
    '\bdeeds?\b'                                'activity'
    '\battendants?\b'                           'reconciler'
    '\bverdicts?\b'                             'outcome'
    '\b(look-?rounds?)\b'                       'sweep'
    '\bmend(s|ed|ing)?\b'                       'repair, fix'
    '\bsomebod(y|ies)\b'                        'the caller, the owner, another process: name who it is'
    "\b(of one's own|of ours|of theirs)\b"      'custom, its own, the API'\''s: name what it belongs to'
    '\bvouch(es|ed)?\b'                         'authenticates, authenticated'
    '\bno UTF-8\b'                              'not valid UTF-8'
    '(?<!there )\bis no (?!longer\b)'           'is not a, is not valid, must be'
    '\b(has|have|is) no room\b'                 'is full, has no capacity'
    '\bboth are well\b'                         'either is fine'
    '\bwaits? in vain\b|\bwaited in vain\b'     'timed out waiting for'
    '\b(looks?|looked|looking) after\b'         'visits, repairs'
    '\bgo(es)? its way\b'                       'makes progress'
    '\bwhat (it|they|one) (came|comes?) to\b'   'the outcome'
    '\bis to be thought of\b'                   'classifies'
    '\bchanges too fast\b'                      'too many concurrent updates'
    '\bwhoever dies\b'                          'any component can crash'
    '\bgives? up for good\b|\bfails? for good\b' 'permanently'
    '\bdoes not have this method\b'             'method not allowed'
    '\bmay nothing\b'                           'is not allowed to'
    '\bso many of them\b'                       'up to this number'
    '\bis through with\b'                       'has completed'
    '\beveryb?ody\b'                            'all clients, all programs: name who it is'
)

boundary='(?:^|$|(?<=[\W_])|(?=[\W_]))'
found=0
for ((i = 0; i < ${#words[@]}; i += 2)); do
    # Names in code count too: there, words are separated by `_`.
    pattern=${words[i]// /[ _]}
    pattern=${pattern//\\b/$boundary}
    if git grep --line-number --ignore-case --perl-regexp -e "$pattern" -- . \
        ':!CHANGELOG.md' ':!*.lock' ':!*package-lock.json' ':!*.snap' ':!docs/performance.*' ':!*/generated/*' ':!tests/words.sh'; then
        echo "instead write: ${words[i + 1]}" >&2
        found=1
    fi
done
((found == 0)) || { echo "tests/words.sh found words that this project does not use" >&2; exit 1; }
