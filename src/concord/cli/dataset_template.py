"""The file in which a member describes a dataset, with every field and what it means."""

from __future__ import annotations

TEMPLATE = """\
# A dataset of this member. Its terms become public with `concord data add`; the lines under
# "stays here" do not.
title = ""
description = ""
languages = []                # BCP 47 tags, such as "sw" or "kk-Cyrl"
sources = []                  # where the text comes from, in words; no paths
licences = []                 # under which you hold it: SPDX ids, or "LicenseRef-..." for others
rights_holder = ""
origin = []                   # places it comes from, such as "KE" or "IN-KL"
collected = []                # first and last day, such as ["1990-01-01", "2025-12-31"]

sensitivity = "internal"      # public, internal, confidential, or personal
tier = "P"                    # P: trains the joint model, for good. R: a module that can be
                              # removed. L: only what you make for yourself
purposes = ["public-interest"]
stages = ["pretraining"]      # pretraining, expert, evaluation, local
model_licences = ["Apache-2.0"]  # licences that a model trained on it may have
residency = []                # places where it may be stored and processed
not_in = []                   # places where it may not
expires = ""                  # from this day on it is not used, such as "2031-12-31"
max_epsilon = "0"             # budget of differential privacy, where it is trained with

raw_text_may_leave = false
derived_may_leave = false     # what is made of it, other than updates
updates_may_leave = true
consent = ""                  # where consent, or the ground without it, is documented
community_review = ""         # who of the community reviewed the use, and when; or "none"
# benefit_sharing = ""
privacy_techniques = []
personal_data = "mask"        # keep, mask, or leave_out documents in which some is found

biases = []
limitations = []
# social_impact = ""

# Stays here.
# text = []                   # files or folders; without them, those of member.toml
# heldout = []
"""
