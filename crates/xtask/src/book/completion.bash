# The ids of reports or exposures, from tcnd. This neither asks for a password nor starts
# tcnd: without permission it offers nothing.
_@_ids() {
    local bus=--system call
    case $_tcn_bus in
        session) bus=--user ;;
        ?*:*) bus=--address=$_tcn_bus ;;
    esac
    case $1 in
        reports) call='Reports List' ;;
        exposures) call='Exposures List a{sv} 0' ;;
    esac
    busctl "$bus" --allow-interactive-authorization=no --auto-start=no --timeout=2 \
        --json=short call org.tcncoalition.Tcnd1 /org/tcncoalition/Tcnd1 \
        org.tcncoalition.Tcnd1.$call 2>/dev/null </dev/null |
        grep -o '"id":{"type":"s","data":"[^"]*"' | cut -d '"' -f 10
}

_@() {
    local cur=${COMP_WORDS[COMP_CWORD]} path=@ option= place=0 i word prefix=
    local REPLY= _tcn_bus=
    COMPREPLY=()
    [[ $cur == '=' ]] && cur=
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $word == [=:] ]]; then
            # bash divides words there: --bus=session, unix:path=/run/bus.
            if [[ -z $option ]]; then
                ((++i))
                _tcn_bus+=$word${COMP_WORDS[i]}
            fi
        elif [[ -n $option ]]; then
            [[ $option == --bus ]] && _tcn_bus=$word
            option=
        elif [[ $word == -* ]]; then
            _@_values "$path $word"
            [[ -n $REPLY ]] && option=$word
        else
            _@_commands "$path"
            if [[ " $REPLY " == *" $word "* ]]; then
                path+=" $word" place=0
            else
                ((++place))
            fi
        fi
    done
    if [[ -n $option ]]; then
        _@_values "$path $option"
    elif [[ $cur == -* ]]; then
        _@_options "$path"
        REPLY="words $REPLY"
    else
        _@_commands "$path"
        if [[ -n $REPLY ]]; then
            REPLY="words $REPLY"
        else
            _@_values "$path $place"
            [[ -n $REPLY ]] || _@_values "$path *"
        fi
    fi
    case $REPLY in
        files)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            ;;
        folders)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$cur")
            ;;
        reports | exposures)
            mapfile -t COMPREPLY < <(compgen -W "$(_@_ids "$REPLY")" -- "$cur")
            ;;
        'list '*)
            # Another element follows a comma. Elements that are there already are not offered.
            compopt -o nospace 2>/dev/null
            [[ $cur == *,* ]] && prefix=${cur%,*},
            for word in ${REPLY#list }; do
                [[ ,$prefix != *,$word,* && $word == "${cur##*,}"* ]] &&
                    COMPREPLY+=("$prefix$word")
            done
            ;;
        'words '*)
            mapfile -t COMPREPLY < <(compgen -W "${REPLY#words }" -- "$cur")
            ;;
    esac
}

complete -F _@ @
