"""The completion that an installation brings, driven in the three shells as a person's keys drive it."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.xdist_group("systemd"), pytest.mark.timeout(1200)]
BASH = """
source /usr/local/share/bash-completion/completions/ligand
COMP_WORDS=(ligand "$1") COMP_CWORD=1
_ligand_completion ligand "$1" ligand
printf '%s\\n' "${COMPREPLY[@]}"
"""
# a shell in a terminal of its own: what is typed, then Tab, then the whole line is shown
ZSH = """
zmodload zsh/zpty
zpty shell 'zsh -f -i'
zpty -w shell 'PS1=; autoload -Uz compinit; compinit -D -u; print READY$((40+2))'
zpty -r shell line '*READY42*'
zpty -w -n shell "ligand $1"$'\\t\\C-aprint -r -- $((40+2))\\'<\\C-e>\\'\\n'
zpty -r shell line '*42<*>*'
print -r -- "$line"
"""


def test_fish_completes_a_verb(ligand):
    """A person who lives in fish finds verbs and what they mean, without having set anything up."""
    said = ligand.machine.out("fish", "--command", "complete -C'ligand stat'", user="alice")
    assert said.split("\t") == ["status", "Tell which daemons are ready"]
    assert "investigator" in ligand.machine.out("fish", "--command", "complete -C'ligand pause inv'", user="alice")


def test_bash_completes_a_verb(ligand):
    """Tab after `ligand stat` in bash gives the one verb there is."""
    assert ligand.machine.out("bash", "-c", BASH, "bash", "stat", user="alice") == "status"


def test_zsh_completes_a_verb(ligand):
    """The function lies where zsh looks for it, and Tab puts the verb into the line."""
    said = ligand.machine.out("zsh", "-f", "-c", ZSH, "zsh", "stat", user="alice")
    assert said.splitlines()[-1] == "42<ligand status>"
