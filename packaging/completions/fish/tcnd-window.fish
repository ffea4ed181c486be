complete -c tcnd-window -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnd-window -l gapplication-service -d 'Wait for other programs to open the window; the message bus of the session starts it so'
complete -c tcnd-window -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tcnd-window -s V -l version -d 'Print version'
complete -c tcnd-window -l bus -x -a "system session"
