complete -c tcnd-kiosk -l config -d 'Use this settings file instead of /etc/tcnd/kiosk.toml; several are merged in order' -r -F
complete -c tcnd-kiosk -l output -d 'Where to write the page [default: index.html in the runtime directory that systemd gives, else the standard output]' -r -F
complete -c tcnd-kiosk -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnd-kiosk -l check-config -d 'Check the settings, then exit'
complete -c tcnd-kiosk -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tcnd-kiosk -s V -l version -d 'Print version'
complete -c tcnd-kiosk -l bus -x -a "system session"
