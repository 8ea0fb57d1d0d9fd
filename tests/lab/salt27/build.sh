#!/bin/bash
# Salt 3000.9 on Python 2.7, from the files in /lab/wheels alone.
set -eu
wheels=/lab/wheels
pip() { python2.7 "$(ls $wheels/pip-*.whl)/pip" install --no-cache-dir --no-index --no-deps --disable-pip-version-check "$@"; }
pip $wheels/pip-*.whl $wheels/setuptools-*.whl $wheels/wheel-*.whl
pip $(ls $wheels/*.whl | grep -v -e /pip- -e /setuptools- -e /wheel-)
cp $wheels/salt-*.tar.gz /tmp/
pip --no-build-isolation /tmp/salt-*.tar.gz
rm -f /tmp/salt-*.tar.gz
salt-call --version
