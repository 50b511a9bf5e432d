"""`devices`, `zoo`, `doctor`: what there is."""

from __future__ import annotations

import argparse
from dataclasses import asdict

import millijoule
from millijoule.cli.command import Command, show


def _devices(options: argparse.Namespace) -> None:
    from millijoule.report.lists import tables

    known = millijoule.list_devices()
    show(options, [asdict(device) for device in known], tables.devices(known))


def _zoo(options: argparse.Namespace) -> None:
    from millijoule.detect.heads import entries
    from millijoule.report.lists import tables
    from millijoule.report.lists.networks import summarise

    networks = summarise((*millijoule.zoo.entries(), *entries()))
    show(options, [network.to_json() for network in networks], tables.zoo(networks))


def _doctor(options: argparse.Namespace) -> None:
    from millijoule.report.lists import tables

    checks = millijoule.doctor()
    show(options, [asdict(check) for check in checks], tables.doctor(checks))


DEVICES = Command("devices", "the devices that are known", _devices)
ZOO = Command("zoo", "the networks that are known", _zoo)
DOCTOR = Command("doctor", "what is installed, what is missing and how to get it", _doctor)
