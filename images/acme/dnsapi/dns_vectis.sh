#!/usr/bin/env sh
# acme.sh's own dns_cf, unmodified, as this stack needs it: the token stays in its file, every record is noted before it
# is made, a fault of the moment is sat out, and an order goes on only when the zone's name servers have the value.
# acme.sh sources this in a subshell for each record; the DNS_ variables come from the wrapper.
# shellcheck disable=SC2034 # what dns_cf reads
dns_vectis_info='Cloudflare by dns_cf, with the token in a file'

# Seconds for which a fault of the API is sat out: when a record is added (a failed order counts at the CA) and removed
# (certd removes what stays behind).
_vectis_add_patience=240
_vectis_rm_patience=20

# NAME VALUE
dns_vectis_add() {
  _vectis_load "$1" || return 1
  _vectis_note "$1" "$2" || return 1
  _vectis_tries=0
  _vectis_patiently "$_vectis_add_patience" _vectis_add "$1" "$2" || return 1
  # Without the lock: a look at name servers must not keep the next order waiting if this one is killed.
  if ! node "$DNS_CERTD" await-txt "$1" "$2" 9>&-; then
    dns_cf_rm "$1" "$2"
    return 1
  fi
}

# NAME VALUE. The note stays: certd takes it away when it has seen that the record is gone.
dns_vectis_rm() {
  _vectis_load "$1" || return 1
  _vectis_patiently "$_vectis_rm_patience" dns_cf_rm "$1" "$2"
}

# NAME. Loads dns_cf with everything that it may know: the zone, and a word in place of the token.
_vectis_load() {
  if [ ! -s "$DNS_TOKEN" ]; then
    echo "dns_vectis: gave up: there is no API token in $DNS_TOKEN" >&2
    return 1
  fi
  # shellcheck source=/dev/null
  . "$_SCRIPT_HOME/dnsapi/dns_cf.sh" || return 1
  CF_Token=kept-in-its-file
  CF_Zone_ID=$(_vectis_zone_id "$1")
  CF_Account_ID='' CF_Key='' CF_Email=''
  if [ -z "$CF_Zone_ID" ]; then
    echo "dns_vectis: gave up: no zone is configured for $1" >&2
    return 1
  fi
}

# NAME. The id of the zone with the longest name that holds NAME; DNS_ZONES is `ZONE=ID…`, the root `.` holds all names.
_vectis_zone_id() {
  _vectis_zone=$1
  while :; do
    for _vectis_pair in $DNS_ZONES; do
      if [ "${_vectis_pair%%=*}" = "$_vectis_zone" ]; then
        printf '%s' "${_vectis_pair#*=}"
        return
      fi
    done
    case $_vectis_zone in
      .) return ;;
      *.*) _vectis_zone=${_vectis_zone#*.} ;;
      *) _vectis_zone=. ;;
    esac
  done
}

# NAME VALUE. On the disk before the record exists, so that it is removed whatever is killed when.
_vectis_note() {
  mkdir -p "$DNS_NOTES" &&
    printf '%s %s %s\n' "$CF_Zone_ID" "$1" "$2" >"$DNS_NOTES/.$2" &&
    mv "$DNS_NOTES/.$2" "$DNS_NOTES/$2.txt" &&
    sync "$DNS_NOTES/$2.txt" "$DNS_NOTES"
}

# NAME VALUE. An attempt whose answer got lost may have made the record, and the API refuses a second one.
_vectis_add() {
  [ "$_vectis_tries" -eq 0 ] || dns_cf_rm "$1" "$2" || return 1
  _vectis_tries=$((_vectis_tries + 1))
  dns_cf_add "$1" "$2"
}

# SECONDS COMMAND… Runs the command again while the API is out of order, for so long at most.
_vectis_patiently() {
  _vectis_end=$(($(_vectis_uptime) + $1))
  shift
  _vectis_pause=2
  while :; do
    rm -f "$DNS_WORK/answer"
    ! "$@" || return 0
    _vectis_status='' _vectis_after='' _vectis_error=''
    [ ! -e "$DNS_WORK/answer" ] || IFS='|' read -r _vectis_status _vectis_after _vectis_error <"$DNS_WORK/answer" || :
    case $_vectis_status in
      000) _vectis_cause="Cloudflare does not answer ($_vectis_error)" ;;
      *) _vectis_cause="Cloudflare answers $_vectis_status$(_vectis_detail)" ;;
    esac
    case $_vectis_status in
      000 | 408 | 429 | 5??) ;;
      *)
        echo "dns_vectis: gave up: $_vectis_cause" >&2
        return 1
        ;;
    esac
    case $_vectis_after in '' | *[!0-9]*) _vectis_wait=$_vectis_pause ;; *) _vectis_wait=$((_vectis_after + 1)) ;; esac
    if [ $(($(_vectis_uptime) + _vectis_wait)) -gt "$_vectis_end" ]; then
      echo "dns_vectis: gave up: $_vectis_cause${_vectis_after:+, and wants to be left alone for $_vectis_after s}" >&2
      return 1
    fi
    echo "dns_vectis: $_vectis_cause; it is asked again in $_vectis_wait s" >&2
    sleep "$_vectis_wait" 9>&-
    [ "$_vectis_pause" -ge 30 ] || _vectis_pause=$((_vectis_pause * 2))
  done
}

_vectis_uptime() {
  read -r _vectis_now _ </proc/uptime
  printf '%s' "${_vectis_now%%.*}"
}

# Number and text of the first error in the last answer's body, in brackets.
_vectis_detail() {
  tr -d '\n' <"$DNS_WORK/body" 2>/dev/null |
    sed -n 's/.*"errors" *: *\[ *{ *"code" *: *\([0-9]*\) *, *"message" *: *"\([^"]*\)".*/ (\1: \2)/p'
}

# What dns_cf calls to keep its settings: nothing of them is kept.
_savedomainconf() { :; }
_saveaccountconf_mutable() { :; }
_clearaccountconf() { :; }
_clearaccountconf_mutable() { :; }
_readaccountconf_mutable() { :; }

# acme.sh's curl. Calls to the API get the token from its file inside curl itself, so that it is in no variable, no
# environment, no command line and no trace; how the API answered is kept for _vectis_patiently.
curl() {
  for _vectis_url; do :; done
  case $_vectis_url in
    https://api.cloudflare.com/*) ;;
    *)
      command curl "$@"
      return
      ;;
  esac
  _vectis_left=$#
  while [ "$_vectis_left" -gt 0 ]; do
    case $1:${2:-} in
      -H:Authorization* | -H:X-Auth-* | -H: | --cacert:* | --trace-ascii:*)
        shift 2
        _vectis_left=$((_vectis_left - 2))
        ;;
      *)
        set -- "$@" "$1"
        shift
        _vectis_left=$((_vectis_left - 1))
        ;;
    esac
  done
  _vectis_code=0
  command curl --connect-timeout 10 --max-time 30 --cacert "$DNS_ROOTS" --variable "token@$DNS_TOKEN" \
    --expand-header 'Authorization: Bearer {{token:trim}}' \
    --write-out "%output{$DNS_WORK/answer}%{http_code}|%header{retry-after}|%{errormsg}\n" \
    "$@" >"$DNS_WORK/body" || _vectis_code=$?
  cat "$DNS_WORK/body"
  return "$_vectis_code"
}
