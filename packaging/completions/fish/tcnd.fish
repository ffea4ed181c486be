complete -c tcnd -l config -d 'Read this configuration instead of the system\'s; may be repeated, later files overrule earlier ones' -r -F
complete -c tcnd -l state-dir -d 'Keep keys and contacts here [default: $STATE_DIRECTORY, else the XDG state directory]' -r -F
complete -c tcnd -l radio -d 'The radio: bluez, the machine\'s own; fake, a neighbourhood that is made up; or fake:PATH, where all daemons of the machine that name this folder hear each other, and nobody else' -r -f -a "bluez fake"
complete -c tcnd -l radio-seed -d 'Begin the chance of a fake radio with this number, so that the same people come and go [default: other people each time]' -r
complete -c tcnd -l bus -d 'The bus to serve on: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnd -l boot-id -d 'Which boot of the machine this is, as systemd\'s %b [default: what the kernel says]' -r
complete -c tcnd -l check-config -d 'Check the configuration and leave'
complete -c tcnd -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tcnd -s V -l version -d 'Print version'
complete -c tcnd -l bus -x -a "system session"
