complete -c tcn-reportd -l listen -d 'Listen here [default: 127.0.0.1:8080]' -r
complete -c tcn-reportd -l state-dir -d 'Store reports here [default: $STATE_DIRECTORY, else the XDG state directory]' -r -F
complete -c tcn-reportd -l config -d 'Read these settings instead of /etc/tcnd/reportd.toml; may be repeated, later files overrule earlier ones' -r -F
complete -c tcn-reportd -l check-config -d 'Check the settings and exit'
complete -c tcn-reportd -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tcn-reportd -s V -l version -d 'Print version'
