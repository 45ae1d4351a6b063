# Runs one private RabbitMQ node with a port mapper of its own, and ends both when nobody needs
# them any more. It leads a process group, so the last line takes everything with it.
#
#   keeper.sh FOLDER SERVER EPMD owner                           until standard input ends
#   keeper.sh FOLDER SERVER EPMD users GATE USERS ADDRESS LINGER  until the lock USERS is free
#
# In "owner" mode the line "stop" asks for an orderly end that keeps the data. The end of standard
# input means that the owner is dead: the node is killed and the folder removed.
# What the node writes is its owner's alone.
umask 077
dir=$1 server=$2 epmd=$3 mode=$4 gate=${5-} users=${6-} address=${7-} linger=${8-}
exec 3<&0 </dev/null

# Started here and in the foreground: the node would start one as a daemon, which outlives it.
"$epmd" -address 127.0.0.1 -port "$ERL_EPMD_PORT" >"$dir/epmd.log" 2>&1 3<&- &
tries=0
until "$epmd" -port "$ERL_EPMD_PORT" -names >/dev/null 2>&1; do
  tries=$((tries + 1))
  [ "$tries" -lt 200 ] || kill -KILL 0
  sleep 0.05
done

"$server" >>"$dir/node.log" 2>&1 3<&- &
node=$!

end_with_owner() {
  if read -r word <&3 && [ "$word" = stop ]; then
    kill -TERM "$node"
    sleep 20
  else
    : >"$dir/abandoned"
  fi
  kill -KILL "$node"
}

# Newcomers take a share of USERS while they hold GATE, so under GATE "no user" is final.
end_without_users() {
  # Without the lock's folder (somebody removed it) there can be no users either.
  while flock "$users" true && sleep "$linger" && [ -e "$gate" ]; do
    exec 9>"$gate"
    flock 9
    flock --nonblock "$users" true && break
    exec 9>&-
  done
  rm -f -- "$address"
  : >"$dir/abandoned"
  kill -KILL "$node"
  # GATE stays closed until the node is gone.
  sleep 20
}

if [ "$mode" = owner ]; then end_with_owner & else end_without_users & fi
exec 3<&-
wait "$node"
[ -e "$dir/abandoned" ] && rm -rf -- "$dir"
kill -KILL 0
