#!/bin/bash
# What Spark's Kubernetes scheduler starts: `driver …`, `executor`, or any other command.
set -euo pipefail

# Hadoop and getpass ask for the name of the uid; a random one has none.
if ! getent passwd "$(id -u)" >/dev/null; then
    NSS_WRAPPER_PASSWD=$(mktemp /tmp/passwd.XXXXXX)
    export NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP=/etc/group
    { cat /etc/passwd; echo "${SPARK_USER:-ubspark}:x:$(id -u):0::$HOME:/bin/false"; } > "$NSS_WRAPPER_PASSWD"
    wrapper=$(ls /usr/lib/*/libnss_wrapper.so)
    export LD_PRELOAD=$wrapper
fi

# numba wants to write where it reads; under a read-only root the warm cache moves to /tmp.
if [ ! -w "$NUMBA_CACHE_DIR" ]; then
    cp -r "$NUMBA_CACHE_DIR" /tmp/numba
    export NUMBA_CACHE_DIR=/tmp/numba
fi

case "${1:-}" in
    driver)
        shift
        "$SPARK_HOME/bin/spark-submit" \
            --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS" \
            --conf "spark.executorEnv.SPARK_DRIVER_POD_IP=$SPARK_DRIVER_BIND_ADDRESS" \
            --deploy-mode client "$@" &
        submit=$!
        # Told to end, the job closes its record first, and Java follows it with the job's exit code.
        trap 'pkill -TERM -P "$submit" python || kill -TERM "$submit"' TERM
        code=0
        while kill -0 "$submit" 2>/dev/null; do
            code=0
            wait "$submit" || code=$?
        done
        # Where Java went first, the job says so in its record before the container goes.
        for _ in {1..250}; do
            pgrep python >/dev/null || break
            sleep 0.2
        done
        exit "$code"
        ;;
    executor)
        options=()
        while IFS= read -r name; do options+=("${!name}"); done \
            < <(compgen -e SPARK_JAVA_OPT_ | sort -t_ -k4 -n)
        # SPARK-43540: files of the application lie in the working folder.
        classpath="${SPARK_CLASSPATH:-}:$SPARK_HOME/jars/*:$PWD"
        exec java "${options[@]}" "-Xms$SPARK_EXECUTOR_MEMORY" "-Xmx$SPARK_EXECUTOR_MEMORY" \
            -cp "$classpath" org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
            --driver-url "$SPARK_DRIVER_URL" \
            --executor-id "$SPARK_EXECUTOR_ID" \
            --cores "$SPARK_EXECUTOR_CORES" \
            --app-id "$SPARK_APPLICATION_ID" \
            --hostname "$SPARK_EXECUTOR_POD_IP" \
            --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" \
            --podName "$SPARK_EXECUTOR_POD_NAME"
        ;;
    *)
        exec "$@"
        ;;
esac
