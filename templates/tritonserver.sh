#!/bin/sh
# Laid down by oceanid. Starts Triton's container and stays as long as that runs; what it says goes to the journal.
set -eu
name='{{ container }}'
since=$(date +%s)
/usr/bin/docker start "$name" >/dev/null
while :; do
    # This ends with the container, or when Docker goes away: the container runs on meanwhile, by live-restore.
    /usr/bin/docker logs --follow --since "$since" "$name" 2>&1 || :
    since=$(date +%s)
    until /usr/bin/docker version >/dev/null 2>&1; do
        if [ "$(( $(date +%s) - since ))" -ge 300 ]; then
            echo 'Docker has been away for 300 s' >&2
            exit 1
        fi
        sleep 1
    done
    state=$(/usr/bin/docker inspect -f '{% raw %}{{.State.Running}} {{.State.ExitCode}} {{.State.OOMKilled}}{% endraw %}' "$name") || {
        printf 'the container %s is gone\n' "$name" >&2
        exit 1
    }
    case $state in
    true*) sleep 1 ;;
    *)
        code=${state#* }
        case $code in
        *true) echo 'the kernel ended the container: it was out of memory' >&2 ;;
        *) printf 'the container ended with status %s\n' "${code% *}" >&2 ;;
        esac
        exit "${code% *}"
        ;;
    esac
done
