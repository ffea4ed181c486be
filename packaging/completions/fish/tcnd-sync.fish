complete -c tcnd-sync -l sources -d 'Use the sources of this file instead of the system\'s; may be repeated' -r -F
complete -c tcnd-sync -l state-dir -d 'Store validators and back-off here [default: $STATE_DIRECTORY, else the XDG state directory]' -r -F
complete -c tcnd-sync -l bus -d 'The bus that tcnd is on: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnd-sync -l check-config -d 'Check the configuration of sources and exit'
complete -c tcnd-sync -l now -d 'Also fetch from sources that failed a short while ago. Parts of reports are sent when they are due, as without this option; tcnctl report publish --now makes them due'
complete -c tcnd-sync -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tcnd-sync -s V -l version -d 'Print version'
complete -c tcnd-sync -l bus -x -a "system session"
