complete -c tcnd-sync -l sources -d 'Go through the sources of this file instead of the system\'s; may be repeated' -r -F
complete -c tcnd-sync -l state-dir -d 'Keep validators and back-off here [default: $STATE_DIRECTORY, else the XDG state directory]' -r -F
complete -c tcnd-sync -l bus -d 'The bus that tcnd is on: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnd-sync -l check-config -d 'Check the registry of sources and leave'
complete -c tcnd-sync -l now -d 'Fetch from all sources, those too that failed a short while ago. Parts of reports are sent when they are due, as without it; tcnctl report publish --now makes them due'
complete -c tcnd-sync -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tcnd-sync -s V -l version -d 'Print version'
complete -c tcnd-sync -l bus -x -a "system session"
