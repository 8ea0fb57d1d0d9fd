"""What a module of the tree calls of another one, where tests use it without a loader."""

from _modules import ntpcluster_rules, ntpcluster_validate

ntpcluster_validate.__salt__ = {"ntpcluster_rules.allowed": ntpcluster_rules.allowed}
