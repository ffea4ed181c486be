complete -c tcnd -l config -d 'Read this configuration file instead of the files of the system; may be repeated, and later files take precedence' -r -F
complete -c tcnd -l state-dir -d 'Keep keys and contacts in this directory [default: $STATE_DIRECTORY, else the XDG state directory]' -r -F
complete -c tcnd -l radio -d 'The radio: bluez, the adapter of the machine; fake, a simulated neighbourhood; or fake:PATH, a simulation in which all daemons with this directory hear only each other' -r -f -a "bluez fake"
complete -c tcnd -l radio-seed -d 'Seed the random numbers of a fake radio, so that each run simulates the same people [default: a random seed]' -r
complete -c tcnd -l bus -d 'The bus to serve on: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnd -l boot-id -d 'The boot ID of the machine, as systemd\'s %b [default: from the kernel]' -r
complete -c tcnd -l check-config -d 'Check the configuration and exit'
complete -c tcnd -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tcnd -s V -l version -d 'Print version'
complete -c tcnd -l bus -x -a "system session"
