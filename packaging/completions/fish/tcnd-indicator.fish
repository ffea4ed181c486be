complete -c tcnd-indicator -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnd-indicator -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tcnd-indicator -s V -l version -d 'Print version'
complete -c tcnd-indicator -l bus -x -a "system session"
