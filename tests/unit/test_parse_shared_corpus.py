"""Samples that we may not redistribute (other projects' fixtures, pages): read in place if they exist."""

import os

import pytest

from _modules import ntpcluster_parse, ntpcluster_parse_tools
from tests.unit import py2_corpus

SHARED = os.path.join(os.path.dirname(py2_corpus.ROOT), "shared", "corpus")

pytestmark = pytest.mark.skipif(
    not os.path.isdir(SHARED), reason="the samples that may not be published are not beside the project"
)

# Per sample: rows, the index of the system peer (None: there is none), and fields of rows by index.
TABLES = {
    "fx-jc-centos-7.7-ntpq-p": (4, None, {0: {"when_s": 1, "offset_ms": -2.805, "reach": 1}, 1: {"when_s": None},
                                          2: {"when_s": None}, 3: {"when_s": 2, "offset_ms": 1.044, "tally": " "}}),
    "fx-jc-centos-7.7-ntpq-pn": (4, 3, {3: {"remote": "72.5.72.15", "stratum": 2, "refid": "216.218.254.202",
                                            "when_s": 63,
                                            "poll_s": 64, "reach": 255, "delay_ms": 22.654, "offset_ms": 0.231,
                                            "jitter_ms": 1.964}, 1: {"tally": "-"}}),
    "fx-jc-freebsd12-ntpq-p": (5, None, {}),
    "fx-jc-ubuntu-18.04-ntpq-p": (19, 8, {8: {"remote": "clock.nyc.he.ne", "refid_kind": "clock", "stratum": 1,
                                              "reach": 1,
                                              "offset_ms": -65.938, "inexact": ["address"]}}),
    "fx-jc-ubuntu-18.04-ntpq-p2": (22, 7, {5: {"tally": "+", "remote": "45.79.36.123 (t", "refid": "216.218.254.202",
                                               "stratum": 2, "when_s": 11, "reach": 7, "delay_ms": 68.172,
                                               "offset_ms": 4.404, "address": None},
                                           7: {"remote": "ntp2.wiktel.com", "offset_ms": 0.473},
                                           9: {"tally": "+", "remote": "x.ns.gin.ntt.ne"}}),
    "fx-jc-ubuntu-18.04-ntpq-pn": (19, 8, {8: {"address": "209.51.161.238", "offset_ms": -65.938}}),
    "fx-nodeexp-ntpsec-np": (18, 12, {12: {"address": "185.248.189.10", "stratum": 1, "when_s": 49, "reach": 0o373,
                                         "delay_ms": 26.7541, "offset_ms": 1.2858, "jitter_ms": 1.8044}}),
    "fx-ntpmon-33cad921": (49, 40, {40: {"address": "10.99.0.5", "refid": "10.99.0.26", "when_s": 827, "poll_s": 1024,
                                         "reach": 0o366, "offset_ms": -0.054}}),
    "fx-ntpmon-513a8194": (49, 44, {44: {"address": "10.99.0.53", "when_s": 772, "reach": 0o173, "jitter_ms": 0.136}}),
    "fx-ntpmon-5b628294": (49, 0, {0: {"address": "172.16.89.199", "stratum": 2, "offset_ms": 0.354}}),
    "fx-ntpmon-5bf704ca": (18, 14, {14: {"address": "192.189.54.17", "jitter_ms": 74.423}}),
    "fx-ntpmon-68dd8a4e": (10, 7, {7: {"address": "109.75.188.245", "poll_s": 256, "offset_ms": -1.557}}),
    "fx-ntpmon-b556a6c7": (13, 12, {12: {"address": "54.252.129.186", "when_s": 205, "poll_s": 128, "reach": 0o376}}),
    "fx-telegraf-bad_float_parse": (1, 0, {0: {"offset_ms": None, "delay_ms": 51.016, "jitter_ms": 17.462}}),
    "fx-telegraf-bad_header": (0, None, {}),
    "fx-telegraf-bad_int_parse": (1, 0, {0: {"poll_s": None, "when_s": 101}}),
    "fx-telegraf-bad_when": (1, 0, {0: {"when_s": None, "poll_s": 256}}),
    "fx-telegraf-days": (1, 0, {0: {"when_s": 172800}}),
    "fx-telegraf-hours": (1, 0, {0: {"when_s": 7200}}),
    "fx-telegraf-issue_2386": (5, 0, {0: {"remote": "SHM(0)", "refid": ".PPS.", "stratum": 1},
                                      2: {"remote": "37.58.57.238 (domain)", "refid": "192.53.103.103"},
                                      3: {"remote": "37.58.57.238 (", "refid": "192.53.103.103"},
                                      4: {"remote": "SHM(1)", "when_s": 121, "poll_s": 128}}),
    "fx-telegraf-long_poll": (1, None, {0: {"poll_s": 4096, "when_s": 617, "offset_ms": 2.849, "reach": 255}}),
    "fx-telegraf-minutes": (1, 0, {0: {"when_s": 120}}),
    "fx-telegraf-missing_delay_column": (0, None, {}),
    "fx-telegraf-multi": (5, None, {0: {"jitter_ms": 449514.0, "inexact": ["jitter_ms"], "offset_ms": 243.426}}),
    "fx-telegraf-no_ref_id": (3, None, {1: {"remote": "91.189.94.4", "refid": None, "refid_kind": None, "stratum": 2,
                                            "when_s": 673, "poll_s": 1024, "reach": 255, "delay_ms": 143.047,
                                            "offset_ms": 274.726, "jitter_ms": 449445.0}}),
    "fx-telegraf-pool_when_headers_as_data": (1, None, {0: {"remote": "hostname", "refid_kind": "pool", "type": "p"}}),
    "fx-telegraf-pool_when_minus": (2, None, {0: {"when_s": None, "refid_kind": "pool"},
                                              1: {"address": "195.201.19.162", "stratum": 3, "when_s": None, "reach": 1,
                                                  "offset_ms": 1.283}}),
    "web-alphagov-local-5d": (6, 1, {1: {"offset_ms": -26.064}}),
    "web-hourglass-ntpsec096": (9, 0, {0: {"remote": "SHM(1)", "assid": 36480, "last_event": "sys_peer"},
                                       8: {"assid": 36489, "configured": False}}),
    "web-jc31-hugeoffset": (4, None, {}),
    "web-monplug699-old-type-dash": (4, 2, {2: {"address": "10.10.1.233", "reach": 14, "offset_ms": 2.273, "type": "-"},
                                            3: {"refid_kind": "local"}}),
    "web-rhel6-guide": (5, 1, {1: {"remote": "clock02.util.ph", "offset_ms": 7.641},
                               4: {"remote": "2001:470:28:bde", "address": None, "inexact": ["address"]}}),
    "web-telegraf10747-68m": (3, None, {1: {"poll_s": 4096, "offset_ms": -0.165, "inexact": ["address"]},
                                        2: {"remote": "2404:1a8:1102::", "offset_ms": -0.444}}),
    "web-telegraf1529-windows": (2, 0, {0: {"address": "62.56.0.153", "offset_ms": 1.675, "jitter_ms": 0.528}}),
    "web-telegraf17147-ntpsec-wide": (4, None, {0: {"remote": "0.gr.pool.ntp.org", "inexact": []}}),
    "web-telegraf2386-w-wrap": (9, None, {7: {"remote": "x.ns.gin.ntt.net", "tally": "+"},
                                          8: {"remote": "138.68.46.177 (au.kashra.pictures)", "tally": "-",
                                              "refid": "90.187.7.5", "stratum": 3, "when_s": 29, "reach": 3,
                                              "offset_ms": -1.147}}),
    "web-telegraf3162-shm": (2, 0, {0: {"remote": "SHM(1)", "stratum": 0, "type": "l"},
                                    1: {"offset_ms": -116.97, "condition": "falseticker", "poll_s": 2}}),
    "web-zh-local-refid-truncdot": (1, None, {0: {"refid": "LOCAL(0)", "refid_kind": "local", "offset_ms": -23079.0,
                                                  "inexact": ["offset_ms", "address"]}}),
}  # fmt: skip

ERRORS = {
    "web-sonic-noassoc-ntpsec": "no-associations",
    "web-sonic-refused": "daemon-stopped",
    "web-statseeker-timeout": "timeout",
    "web-rhel6-guide-collapsed": "unparsable",
    "fx-telegraf-bad_header": "unparsable",
    "fx-telegraf-missing_delay_column": "unparsable",
}

NTPDATE = {
    "web-adjust-leading-blank": ("adjust", "10.0.0.41", -0.019067, []),
    "web-dns-merged": (None, None, None, ["unresolvable"]),
    "web-hadoop-inuse": (None, None, None, ["socket-in-use"]),
    "web-hadoop-step": ("step", "192.168.1.102", 77556618.173854, []),
    "web-nosuitable": (None, None, None, ["no-server"]),
    "web-onstor-q": ("adjust", "10.0.0.18", -0.220615, []),
    "web-seed-mangled-blank": ("step", "85.199.214.100", 1114.672613, []),
}


def read(path):
    with open(os.path.join(SHARED, path + ".txt"), encoding="utf-8", errors="replace", newline="") as sample:
        return sample.read()


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_table_has_its_rows_and_fields(name):
    rows, system_peer, fields = TABLES[name]
    peers = ntpcluster_parse.ntpq(read("ntpq/" + name))["peers"]
    assert len(peers) == rows
    assert [place for place, peer in enumerate(peers) if peer["tally"] in "*o"] == (
        [] if system_peer is None else [system_peer]
    )
    for place, wanted in fields.items():
        assert {key: peers[place][key] for key in wanted} == wanted


@pytest.mark.parametrize("name", ["fx-jc-freebsd12-ntpq-p", "web-jc31-hugeoffset"])
def test_offsets_of_seven_digits_are_flagged_and_not_used(name):
    peers = ntpcluster_parse.ntpq(read("ntpq/" + name))["peers"]
    cut = [peer for peer in peers if "offset_ms" in peer["inexact"]]
    assert cut
    assert {peer["offset_ms"] for peer in cut} == {None}


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_an_error_has_its_code(name):
    result = ntpcluster_parse.ntpq(read("ntpq/" + name))
    assert (result["error"], result["peers"]) == (ERRORS[name], [])


def test_associations_of_older_versions_are_decoded():
    zh = py2_corpus.associations(read("ntpq/web-zh-assoc-426"))[0]
    assert [row["assid"] for row in zh if row["tally"] == "*"] == [61847]
    assert (len(zh), zh[2]["tally"]) == (4, "-")
    old = py2_corpus.associations(read("ntpq/web-riverbed-as-candidat"))[0]
    assert [row["tally"] for row in old] == ["+", "+", "-", "-", "*", "-"]
    assert [row["authenticated"] for row in old] == [None] * 5 + [True]
    assert len(py2_corpus.associations(read("ntpq/web-hourglass-ntpsec096"))[0]) == 10


def test_variables_of_other_versions_are_read():
    assert ntpcluster_parse.variables(read("ntpq/web-oldrv-f414")) == {"status": "f414"}
    subset = {"rootdelay": 27.506, "rootdisp": 8.13, "offset": 0.006675, "sys_jitter": 0.854537}
    assert ntpcluster_parse.variables(read("ntpq/fx-nodeexp-rv0-subset")) == subset
    system = ntpcluster_parse.ntpq(read("ntpq/web-hourglass-ntpsec096"))["variables"]
    wanted = {"stratum": 1, "refid": "PPS", "offset": -76.723, "frequency": 230.47, "rootdisp": 80.878, "leap": "none",
              "source": "uhf_radio"}  # fmt: skip
    assert {key: system[key] for key in wanted} == wanted


@pytest.mark.parametrize("name", sorted(NTPDATE))
def test_the_output_of_ntpdate_is_read(name):
    got = ntpcluster_parse_tools.ntpdate(read("ntpdate/" + name))
    errors = [error["code"] for error in got["errors"]]
    assert (got["action"], got["server"], got["offset_s"], errors) == NTPDATE[name]


def test_the_output_of_hwclock_is_read():
    clock = ntpcluster_parse_tools.hwclock(read("hwclock/web-lkml-2374-selecttimeout"), "", 1)
    assert (clock["present"], clock["error"]) == (True, "tick-timeout")
