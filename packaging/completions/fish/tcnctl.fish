# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_tcnctl_global_optspecs
    string join \n json bus= h/help V/version
end

function __fish_tcnctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_tcnctl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_tcnctl_using_subcommand
    set -l cmd (__fish_tcnctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c tcnctl -n "__fish_tcnctl_needs_command" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_needs_command" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tcnctl -n "__fish_tcnctl_needs_command" -s V -l version -d 'Print version'
complete -c tcnctl -n "__fish_tcnctl_needs_command" -f -a "status" -d 'Show the status and the problems of tcnd'
complete -c tcnctl -n "__fish_tcnctl_needs_command" -f -a "watch" -d 'Show the status, then each event, until interrupted'
complete -c tcnctl -n "__fish_tcnctl_needs_command" -f -a "doctor" -d 'Check the machine: Bluetooth, clock, kernel, and tcnd itself'
complete -c tcnctl -n "__fish_tcnctl_needs_command" -f -a "enable" -d 'Give consent: let tcnd broadcast numbers and listen for those of others'
complete -c tcnctl -n "__fish_tcnctl_needs_command" -f -a "disable" -d 'Withdraw consent'
complete -c tcnctl -n "__fish_tcnctl_needs_command" -f -a "pause" -d 'Pause broadcasting and listening'
complete -c tcnctl -n "__fish_tcnctl_needs_command" -f -a "resume" -d 'End all pauses'
complete -c tcnctl -n "__fish_tcnctl_needs_command" -f -a "rotate" -d 'Take a new number and a new address now'
complete -c tcnctl -n "__fish_tcnctl_needs_command" -f -a "self-test" -d 'Have tcnd test itself: radio, address, clock, contact log, keys'
complete -c tcnctl -n "__fish_tcnctl_needs_command" -f -a "selftest" -d 'Have tcnd test itself: radio, address, clock, contact log, keys'
complete -c tcnctl -n "__fish_tcnctl_needs_command" -f -a "statistics" -d 'Show counters since the start of tcnd, and the size of the contact log'
complete -c tcnctl -n "__fish_tcnctl_needs_command" -f -a "clock" -d 'Confirm the clock of this machine'
complete -c tcnctl -n "__fish_tcnctl_needs_command" -f -a "contacts" -d 'Show totals of the contact log by day and hour'
complete -c tcnctl -n "__fish_tcnctl_needs_command" -f -a "exposures" -d 'Show when this computer was near a person who made a report'
complete -c tcnctl -n "__fish_tcnctl_needs_command" -f -a "wipe" -d 'Destroy all data: keys, contacts, reports, exposures, decisions'
complete -c tcnctl -n "__fish_tcnctl_needs_command" -f -a "config" -d 'Check the configuration'
complete -c tcnctl -n "__fish_tcnctl_needs_command" -f -a "report" -d 'Make reports, and match the reports of other people'
complete -c tcnctl -n "__fish_tcnctl_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand status" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand status" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand status" -s h -l help -d 'Print help'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand watch" -l format -d 'text, json (one document a line), or waybar (for a custom module)' -r -f -a "text\t''
json\t''
waybar\t''"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand watch" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand watch" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand watch" -s h -l help -d 'Print help'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand doctor" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand doctor" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand enable" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand enable" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand enable" -s h -l help -d 'Print help'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand disable" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand disable" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand disable" -s h -l help -d 'Print help'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand pause" -l reason -d 'The reason, which other users can see' -r
complete -c tcnctl -n "__fish_tcnctl_using_subcommand pause" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand pause" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand pause" -s h -l help -d 'Print help'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand resume" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand resume" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand resume" -s h -l help -d 'Print help'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand rotate" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand rotate" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand rotate" -s h -l help -d 'Print help'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand self-test" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand self-test" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand self-test" -s h -l help -d 'Print help'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand selftest" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand selftest" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand selftest" -s h -l help -d 'Print help'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand statistics" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand statistics" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand statistics" -s h -l help -d 'Print help'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand clock; and not __fish_seen_subcommand_from confirm help" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand clock; and not __fish_seen_subcommand_from confirm help" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand clock; and not __fish_seen_subcommand_from confirm help" -s h -l help -d 'Print help'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand clock; and not __fish_seen_subcommand_from confirm help" -f -a "confirm" -d 'Confirm that the clock is right, where no network can'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand clock; and not __fish_seen_subcommand_from confirm help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand clock; and __fish_seen_subcommand_from confirm" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand clock; and __fish_seen_subcommand_from confirm" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand clock; and __fish_seen_subcommand_from confirm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand clock; and __fish_seen_subcommand_from help" -f -a "confirm" -d 'Confirm that the clock is right, where no network can'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand clock; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand contacts; and not __fish_seen_subcommand_from export erase help" -l from -d 'Start of the span [default: the oldest data]' -r -f -a "now today yesterday"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand contacts; and not __fish_seen_subcommand_from export erase help" -l to -d 'End of the span; a date includes that day [default: now]' -r -f -a "now today yesterday"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand contacts; and not __fish_seen_subcommand_from export erase help" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand contacts; and not __fish_seen_subcommand_from export erase help" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand contacts; and not __fish_seen_subcommand_from export erase help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand contacts; and not __fish_seen_subcommand_from export erase help" -f -a "export" -d 'Write the rows of the contact log to a file'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand contacts; and not __fish_seen_subcommand_from export erase help" -f -a "erase" -d 'Destroy contacts'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand contacts; and not __fish_seen_subcommand_from export erase help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand contacts; and __fish_seen_subcommand_from export" -l format -d 'csv, jsonl (one JSON object a line), or sqlite' -r -f -a "csv\t''
jsonl\t''
sqlite\t''"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand contacts; and __fish_seen_subcommand_from export" -l from -d 'Start of the span [default: the oldest data]' -r -f -a "now today yesterday"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand contacts; and __fish_seen_subcommand_from export" -l to -d 'End of the span; a date includes that day [default: now]' -r -f -a "now today yesterday"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand contacts; and __fish_seen_subcommand_from export" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand contacts; and __fish_seen_subcommand_from export" -l raw -d 'Write the numbers themselves, instead of pseudonyms for this file'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand contacts; and __fish_seen_subcommand_from export" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand contacts; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand contacts; and __fish_seen_subcommand_from erase" -l from -d 'Start of the span [default: the oldest data]' -r -f -a "now today yesterday"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand contacts; and __fish_seen_subcommand_from erase" -l to -d 'End of the span; a date includes that day [default: now]' -r -f -a "now today yesterday"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand contacts; and __fish_seen_subcommand_from erase" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand contacts; and __fish_seen_subcommand_from erase" -l yes -d 'Do not ask for confirmation'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand contacts; and __fish_seen_subcommand_from erase" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand contacts; and __fish_seen_subcommand_from erase" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand contacts; and __fish_seen_subcommand_from help" -f -a "export" -d 'Write the rows of the contact log to a file'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand contacts; and __fish_seen_subcommand_from help" -f -a "erase" -d 'Destroy contacts'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand contacts; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand exposures; and not __fish_seen_subcommand_from show dismiss restore help" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand exposures; and not __fish_seen_subcommand_from show dismiss restore help" -l all -d 'Include dismissed ones'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand exposures; and not __fish_seen_subcommand_from show dismiss restore help" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand exposures; and not __fish_seen_subcommand_from show dismiss restore help" -s h -l help -d 'Print help'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand exposures; and not __fish_seen_subcommand_from show dismiss restore help" -f -a "show" -d 'Show one exposure and mark it as seen; with --json it stays new'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand exposures; and not __fish_seen_subcommand_from show dismiss restore help" -f -a "dismiss" -d 'Hide an exposure'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand exposures; and not __fish_seen_subcommand_from show dismiss restore help" -f -a "restore" -d 'List a dismissed exposure again'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand exposures; and not __fish_seen_subcommand_from show dismiss restore help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand exposures; and __fish_seen_subcommand_from show" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand exposures; and __fish_seen_subcommand_from show" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand exposures; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand exposures; and __fish_seen_subcommand_from dismiss" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand exposures; and __fish_seen_subcommand_from dismiss" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand exposures; and __fish_seen_subcommand_from dismiss" -s h -l help -d 'Print help'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand exposures; and __fish_seen_subcommand_from restore" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand exposures; and __fish_seen_subcommand_from restore" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand exposures; and __fish_seen_subcommand_from restore" -s h -l help -d 'Print help'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand exposures; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show one exposure and mark it as seen; with --json it stays new'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand exposures; and __fish_seen_subcommand_from help" -f -a "dismiss" -d 'Hide an exposure'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand exposures; and __fish_seen_subcommand_from help" -f -a "restore" -d 'List a dismissed exposure again'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand exposures; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand wipe" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand wipe" -l yes -d 'Do not ask for confirmation'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand wipe" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand wipe" -s h -l help -d 'Print help'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand config; and not __fish_seen_subcommand_from check help" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand config; and not __fish_seen_subcommand_from check help" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand config; and not __fish_seen_subcommand_from check help" -s h -l help -d 'Print help'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand config; and not __fish_seen_subcommand_from check help" -f -a "check" -d 'Show every error in the configuration'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand config; and not __fish_seen_subcommand_from check help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand config; and __fish_seen_subcommand_from check" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand config; and __fish_seen_subcommand_from check" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand config; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "check" -d 'Show every error in the configuration'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and not __fish_seen_subcommand_from preview create list export publish check delete import inspect help" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and not __fish_seen_subcommand_from preview create list export publish check delete import inspect help" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and not __fish_seen_subcommand_from preview create list export publish check delete import inspect help" -s h -l help -d 'Print help'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and not __fish_seen_subcommand_from preview create list export publish check delete import inspect help" -f -a "preview" -d 'Show what a report would disclose, without making one'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and not __fish_seen_subcommand_from preview create list export publish check delete import inspect help" -f -a "create" -d 'Make a report after showing what it discloses; it stays on this machine'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and not __fish_seen_subcommand_from preview create list export publish check delete import inspect help" -f -a "list" -d 'List your reports, and which parts have left the machine'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and not __fish_seen_subcommand_from preview create list export publish check delete import inspect help" -f -a "export" -d 'Write a report to a file for other people; tcnd records this'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and not __fish_seen_subcommand_from preview create list export publish check delete import inspect help" -f -a "publish" -d 'Send a report to servers, where everyone can fetch it'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and not __fish_seen_subcommand_from preview create list export publish check delete import inspect help" -f -a "check" -d 'Fetch reports from all servers now'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and not __fish_seen_subcommand_from preview create list export publish check delete import inspect help" -f -a "delete" -d 'Delete a report; copies that have left the machine stay'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and not __fish_seen_subcommand_from preview create list export publish check delete import inspect help" -f -a "import" -d 'Match reports of other people with your contacts'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and not __fish_seen_subcommand_from preview create list export publish check delete import inspect help" -f -a "inspect" -d 'Verify the signed reports in a file, without tcnd'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and not __fish_seen_subcommand_from preview create list export publish check delete import inspect help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from preview" -l from -d 'Start of the span [default: the oldest data]' -r -f -a "now today yesterday"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from preview" -l to -d 'End of the span; a date includes that day [default: now]' -r -f -a "now today yesterday"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from preview" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from preview" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from preview" -s h -l help -d 'Print help'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from create" -l symptoms -d 'Symptoms, for a CoEpi memo; none if there are no symptoms' -r -f -a "(__fish_append , none cough dry-cough wet-cough mild-fever serious-fever breathlessness muscle-aches loss-of-smell-or-taste diarrhea runny-nose other)"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from create" -l since -d 'The day of the first symptom: today, or one of the 14 days before' -r -f -a "now today yesterday"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from create" -l memo-type -d 'Another type of memo, by its number in the registry' -r
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from create" -l memo-hex -d 'The bytes of that memo' -r
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from create" -l from -d 'Start of the span [default: the oldest data]' -r -f -a "now today yesterday"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from create" -l to -d 'End of the span; a date includes that day [default: now]' -r -f -a "now today yesterday"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from create" -l note -d 'A note to yourself, which stays on this machine' -r
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from create" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from create" -l linkable -d 'Accept a memo that shows that the parts of the report belong to one person'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from create" -l yes -d 'Do not ask for confirmation'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from create" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from list" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from list" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from export" -l format -d 'tcn (binary), base64 (one signed report a line), or json' -r -f -a "tcn\t''
base64\t''
json\t''"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from export" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from export" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from publish" -l to -d 'One server, by its name in /etc/tcnd/sources.d [default: all that take reports]' -r
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from publish" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from publish" -l now -d 'Send all parts at once, including those already queued'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from publish" -l cancel -d 'Cancel the parts that have not left yet'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from publish" -l yes -d 'Do not ask for confirmation'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from publish" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from publish" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from check" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from check" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from delete" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from delete" -l yes -d 'Do not ask for confirmation'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from delete" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from import" -l source -d 'The origin of the reports, which exposures will show [default: the file name]' -r
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from import" -l published -d 'The time by which the reports were public; contacts that began later do not count [default: now]' -r -f -a "now today yesterday"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from import" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from import" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from inspect" -l bus -d 'The message bus of tcnd: system, session, or a D-Bus address' -r -f -a "system session"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from inspect" -l expand -d 'List the numbers that each report discloses'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from inspect" -l json -d 'Print one JSON document instead of text'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from inspect" -s h -l help -d 'Print help'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from help" -f -a "preview" -d 'Show what a report would disclose, without making one'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from help" -f -a "create" -d 'Make a report after showing what it discloses; it stays on this machine'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from help" -f -a "list" -d 'List your reports, and which parts have left the machine'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from help" -f -a "export" -d 'Write a report to a file for other people; tcnd records this'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from help" -f -a "publish" -d 'Send a report to servers, where everyone can fetch it'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from help" -f -a "check" -d 'Fetch reports from all servers now'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from help" -f -a "delete" -d 'Delete a report; copies that have left the machine stay'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from help" -f -a "import" -d 'Match reports of other people with your contacts'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from help" -f -a "inspect" -d 'Verify the signed reports in a file, without tcnd'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and not __fish_seen_subcommand_from status watch doctor enable disable pause resume rotate self-test statistics clock contacts exposures wipe config report help" -f -a "status" -d 'Show the status and the problems of tcnd'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and not __fish_seen_subcommand_from status watch doctor enable disable pause resume rotate self-test statistics clock contacts exposures wipe config report help" -f -a "watch" -d 'Show the status, then each event, until interrupted'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and not __fish_seen_subcommand_from status watch doctor enable disable pause resume rotate self-test statistics clock contacts exposures wipe config report help" -f -a "doctor" -d 'Check the machine: Bluetooth, clock, kernel, and tcnd itself'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and not __fish_seen_subcommand_from status watch doctor enable disable pause resume rotate self-test statistics clock contacts exposures wipe config report help" -f -a "enable" -d 'Give consent: let tcnd broadcast numbers and listen for those of others'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and not __fish_seen_subcommand_from status watch doctor enable disable pause resume rotate self-test statistics clock contacts exposures wipe config report help" -f -a "disable" -d 'Withdraw consent'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and not __fish_seen_subcommand_from status watch doctor enable disable pause resume rotate self-test statistics clock contacts exposures wipe config report help" -f -a "pause" -d 'Pause broadcasting and listening'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and not __fish_seen_subcommand_from status watch doctor enable disable pause resume rotate self-test statistics clock contacts exposures wipe config report help" -f -a "resume" -d 'End all pauses'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and not __fish_seen_subcommand_from status watch doctor enable disable pause resume rotate self-test statistics clock contacts exposures wipe config report help" -f -a "rotate" -d 'Take a new number and a new address now'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and not __fish_seen_subcommand_from status watch doctor enable disable pause resume rotate self-test statistics clock contacts exposures wipe config report help" -f -a "self-test" -d 'Have tcnd test itself: radio, address, clock, contact log, keys'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and not __fish_seen_subcommand_from status watch doctor enable disable pause resume rotate self-test statistics clock contacts exposures wipe config report help" -f -a "statistics" -d 'Show counters since the start of tcnd, and the size of the contact log'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and not __fish_seen_subcommand_from status watch doctor enable disable pause resume rotate self-test statistics clock contacts exposures wipe config report help" -f -a "clock" -d 'Confirm the clock of this machine'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and not __fish_seen_subcommand_from status watch doctor enable disable pause resume rotate self-test statistics clock contacts exposures wipe config report help" -f -a "contacts" -d 'Show totals of the contact log by day and hour'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and not __fish_seen_subcommand_from status watch doctor enable disable pause resume rotate self-test statistics clock contacts exposures wipe config report help" -f -a "exposures" -d 'Show when this computer was near a person who made a report'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and not __fish_seen_subcommand_from status watch doctor enable disable pause resume rotate self-test statistics clock contacts exposures wipe config report help" -f -a "wipe" -d 'Destroy all data: keys, contacts, reports, exposures, decisions'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and not __fish_seen_subcommand_from status watch doctor enable disable pause resume rotate self-test statistics clock contacts exposures wipe config report help" -f -a "config" -d 'Check the configuration'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and not __fish_seen_subcommand_from status watch doctor enable disable pause resume rotate self-test statistics clock contacts exposures wipe config report help" -f -a "report" -d 'Make reports, and match the reports of other people'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and not __fish_seen_subcommand_from status watch doctor enable disable pause resume rotate self-test statistics clock contacts exposures wipe config report help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and __fish_seen_subcommand_from clock" -f -a "confirm" -d 'Confirm that the clock is right, where no network can'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and __fish_seen_subcommand_from contacts" -f -a "export" -d 'Write the rows of the contact log to a file'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and __fish_seen_subcommand_from contacts" -f -a "erase" -d 'Destroy contacts'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and __fish_seen_subcommand_from exposures" -f -a "show" -d 'Show one exposure and mark it as seen; with --json it stays new'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and __fish_seen_subcommand_from exposures" -f -a "dismiss" -d 'Hide an exposure'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and __fish_seen_subcommand_from exposures" -f -a "restore" -d 'List a dismissed exposure again'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "check" -d 'Show every error in the configuration'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and __fish_seen_subcommand_from report" -f -a "preview" -d 'Show what a report would disclose, without making one'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and __fish_seen_subcommand_from report" -f -a "create" -d 'Make a report after showing what it discloses; it stays on this machine'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and __fish_seen_subcommand_from report" -f -a "list" -d 'List your reports, and which parts have left the machine'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and __fish_seen_subcommand_from report" -f -a "export" -d 'Write a report to a file for other people; tcnd records this'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and __fish_seen_subcommand_from report" -f -a "publish" -d 'Send a report to servers, where everyone can fetch it'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and __fish_seen_subcommand_from report" -f -a "check" -d 'Fetch reports from all servers now'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and __fish_seen_subcommand_from report" -f -a "delete" -d 'Delete a report; copies that have left the machine stay'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and __fish_seen_subcommand_from report" -f -a "import" -d 'Match reports of other people with your contacts'
complete -c tcnctl -n "__fish_tcnctl_using_subcommand help; and __fish_seen_subcommand_from report" -f -a "inspect" -d 'Verify the signed reports in a file, without tcnd'
complete -c tcnctl -l bus -x -a "system session"

function __fish_tcnctl_ids
    set -l call Reports List
    test $argv[1] = exposures; and set call Exposures List 'a{sv}' 0
    busctl --system --allow-interactive-authorization=no --auto-start=no --timeout=2 --json=short call org.tcncoalition.Tcnd1 /org/tcncoalition/Tcnd1 org.tcncoalition.Tcnd1.$call[1] $call[2..] 2>/dev/null </dev/null | grep -o '"id":{"type":"s","data":"[^"]*"' | cut -d '"' -f 10
end
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from publish delete" -f -a "(__fish_tcnctl_ids reports)"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand report; and __fish_seen_subcommand_from export" -a "(__fish_tcnctl_ids reports)"
complete -c tcnctl -n "__fish_tcnctl_using_subcommand exposures; and __fish_seen_subcommand_from show dismiss" -f -a "(__fish_tcnctl_ids exposures)"
