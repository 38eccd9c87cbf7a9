"""The guards of the bot's wire: who may come in from Teams, and where its token may go.

Data only; see `guarantees_guard`.
"""

from __future__ import annotations

from typing import Final

from guarantees_guard import INTEGRATION, UNIT, Guard

TOKEN: Final = f"{UNIT}/test_bot_token.py"
GATE: Final = f"{UNIT}/test_bot_gate.py"
KEYS: Final = f"{UNIT}/test_bot_keys.py"
ACTIVITY: Final = f"{UNIT}/test_bot_activity.py"
REFERENCE: Final = f"{UNIT}/test_bot_reference.py"
SETTINGS: Final = f"{UNIT}/test_bot_settings.py"
FAULTS: Final = f"{INTEGRATION}/test_bot_sdk_faults.py"
CLICKS: Final = f"{UNIT}/test_bot_clicks.py"
COURIER: Final = f"{UNIT}/test_bot_courier.py"
DELIVERING: Final = f"{UNIT}/test_flow_delivering.py"
RACES: Final = f"{UNIT}/test_flow_delivering_races.py"
CONNECTOR: Final = f"{INTEGRATION}/test_bot_connector.py"

BOT_GUARDS: Final = (
    Guard(
        invariant=7,
        guard="countersign_bot.inbound.token._key_id",
        what="a token names the algorithm it is checked by",
        old='if header.get("alg") != ALGORITHM:',
        new="if False:",
        tests=(f"{TOKEN}::test_only_rs256_is_read",),
    ),
    Guard(
        invariant=7,
        guard="countersign_bot.inbound.token.verify",
        what="Entra, or another cloud, speaks for the Bot Framework",
        old='if claims.get("iss") != issuer:',
        new="if False:",
        tests=(
            f"{TOKEN}::test_the_issuer_is_exactly_the_bot_framework_of_the_cloud",
            f"{TOKEN}::test_an_issuer_of_entra_is_refused_though_the_key_is_good",
            f"{FAULTS}::test_9_the_emulators_door_is_shut",
        ),
    ),
    Guard(
        invariant=7,
        guard="countersign_bot.inbound.token.verify",
        what="a token for another bot is good for this one",
        old='if not app_id or claims.get("aud") != app_id:',
        new="if False:",
        tests=(
            f"{TOKEN}::test_the_audience_is_exactly_this_bot",
            f"{TOKEN}::test_without_an_app_id_no_token_is_good",
        ),
    ),
    Guard(
        invariant=7,
        guard="countersign_bot.inbound.token.verify",
        what="a token is good for ever",
        old='if now_s >= _moment(claims, "exp") + SKEW_S:',
        new="if False:",
        tests=(f"{TOKEN}::test_it_ends_five_minutes_after_its_end_to_the_second",),
    ),
    Guard(
        invariant=7,
        guard="countersign_bot.inbound.token.verify",
        what="a token is good before its time",
        old='if now_s < _moment(claims, "nbf") - SKEW_S:',
        new="if False:",
        tests=(f"{TOKEN}::test_it_begins_five_minutes_before_its_beginning_to_the_second",),
    ),
    Guard(
        invariant=7,
        guard="countersign_bot.inbound.token._moment",
        what="a token ends at no number",
        old="if isinstance(value, float) and not math.isfinite(value):",
        new="if False:",
        tests=(f"{TOKEN}::test_a_token_without_an_end_or_a_beginning_is_refused",),
    ),
    Guard(
        invariant=7,
        guard="countersign_bot.inbound.token.verify",
        what="a token is for any service URL",
        old="if not isinstance(service_url, str) or not service_url:",
        new="if False:",
        tests=(f"{TOKEN}::test_it_names_a_service_url",),
    ),
    Guard(
        invariant=7,
        guard="countersign_bot.inbound.token.Verified.require",
        what="a token goes with the body of another service URL",
        old="if self.service_url != service_url:",
        new="if False:",
        tests=(
            f"{TOKEN}::test_the_body_must_name_the_same_service_url_and_an_endorsed_channel",
            f"{GATE}::test_a_body_is_admitted_from_the_sender_its_token_names",
        ),
    ),
    Guard(
        invariant=7,
        guard="countersign_bot.inbound.token.Verified.require",
        what="a key for another channel speaks for Teams",
        old="if channel not in self.channels:",
        new="if False:",
        tests=(
            f"{TOKEN}::test_the_body_must_name_the_same_service_url_and_an_endorsed_channel",
            f"{GATE}::test_a_body_is_admitted_from_a_key_for_teams_alone",
        ),
    ),
    Guard(
        invariant=7,
        guard="countersign_bot.inbound.token.bearer",
        what="two tokens come with one request",
        old="if len(authorization) > 1:",
        new="if False:",
        tests=(f"{GATE}::test_there_is_one_authorization_header_with_one_scheme",),
    ),
    Guard(
        invariant=7,
        guard="countersign_bot.inbound.gate.BotFrameworkGate.admit",
        what="any good token goes with any body",
        old="sender.require(service_url=inbound.service_url, channel=CHANNEL)",
        new="pass",
        tests=(
            f"{GATE}::test_a_body_is_admitted_from_the_sender_its_token_names",
            f"{GATE}::test_a_body_is_admitted_from_a_key_for_teams_alone",
            f"{FAULTS}::test_8_without_an_end_or_a_service_url_nothing_is_taken",
        ),
    ),
    Guard(
        invariant=2,
        guard="countersign_bot.inbound.keys.Keys.ready",
        what="old keys are good for ever",
        old="return self._clock() - self._read_at <= self._freshness.max_stale_s",
        new="return bool(self._keys)",
        tests=(f"{KEYS}::test_while_they_cannot_be_read_the_last_ones_are_good_for_five_days",),
    ),
    Guard(
        invariant=2,
        guard="countersign_bot.inbound.keys.Keys.find",
        what="made-up key ids become a flood of requests",
        old="if kid not in self._keys and self._may_try(self._asked_at):",
        new="if kid not in self._keys:",
        tests=(
            f"{KEYS}::test_an_unknown_id_reads_at_once_and_then_not_for_ten_seconds",
            f"{INTEGRATION}/test_bot_inbound.py::test_made_up_key_ids_cause_one_request_for_keys",
        ),
    ),
    Guard(
        invariant=7,
        guard="countersign.tokens.keys._public",
        what="a key that can be broken signs",
        old="if isinstance(public, RSAPublicKey) and not MIN_RSA_BITS <= public.key_size"
        " <= MAX_RSA_BITS:",
        new="if False:",
        tests=(f"{KEYS}::test_only_rsa_keys_for_signatures_that_are_long_enough_are_taken",),
    ),
    Guard(
        invariant=7,
        guard="countersign_bot.inbound.keys.parse_key_set",
        what="a key for another algorithm signs",
        old="if key.kid and ALGORITHM in key.algorithms",
        new="if key.kid",
        tests=(f"{KEYS}::test_only_rsa_keys_for_signatures_that_are_long_enough_are_taken",),
    ),
    Guard(
        invariant=12,
        guard="countersign_bot.inbound.activity._tenant",
        what="the two places that name the tenant differ",
        old='if told != _text(conversation, "tenantId", "conversation.", required=True).lower():',
        new="if False:",
        tests=(
            f"{ACTIVITY}::test_the_tenant_is_one_that_is_served_in_both_places",
            f"{ACTIVITY}::test_a_tenant_in_the_mapping_of_the_sdk_is_no_third_place",
            f"{FAULTS}::test_4_the_tenant_of_the_conversation_is_read_and_foreign_ones_are_refused",
        ),
    ),
    Guard(
        invariant=12,
        guard="countersign_bot.inbound.activity._tenant",
        what="a foreign tenant comes in",
        old="if told not in tenants:",
        new="if False:",
        tests=(
            f"{ACTIVITY}::test_the_tenant_is_one_that_is_served_in_both_places",
            f"{FAULTS}::test_4_the_tenant_of_the_conversation_is_read_and_foreign_ones_are_refused",
        ),
    ),
    Guard(
        invariant=7,
        guard="countersign_bot.inbound.activity._inbound",
        what="what was sent to another bot is taken",
        old="if app_id and recipient_id.lower() != _BOT_PREFIX + app_id.lower():",
        new="if False:",
        tests=(f"{ACTIVITY}::test_another_bots_request_is_refused",),
    ),
    Guard(
        invariant=7,
        guard="countersign_bot.inbound.activity._inbound",
        what="nobody in particular acts",
        old="sender = _sender(activity, required=kind in _ACTING)",
        new="sender = _sender(activity, required=False)",
        tests=(f"{ACTIVITY}::test_an_event_may_come_from_nobody",),
    ),
    Guard(
        invariant=3,
        guard="countersign_bot.inbound.activity._inbound",
        what="the bot is told to answer somewhere else",
        old="if not hosts.allow(service_url):",
        new="if False:",
        tests=(f"{ACTIVITY}::test_where_to_answer_is_a_host_of_the_cloud",),
    ),
    Guard(
        invariant=3,
        guard="countersign_bot.inbound.clouds.ServiceHosts.allow",
        what="every host is the connector's",
        old='return match["host"] in self.names',
        new="return True",
        tests=(
            f"{ACTIVITY}::test_the_host_list_is_read_to_the_letter",
            f"{REFERENCE}::test_a_stored_one_that_was_changed_is_refused",
            f"{FAULTS}::test_11_the_bots_token_goes_to_the_connector_alone",
        ),
    ),
    Guard(
        invariant=3,
        guard="countersign_bot.connector.reference.Reference.decode",
        what="a stored reference takes the token anywhere",
        old="reference.require_allowed(hosts)",
        new="pass",
        tests=(
            f"{REFERENCE}::test_a_stored_one_that_was_changed_is_refused",
            f"{FAULTS}::test_11_the_bots_token_goes_to_the_connector_alone",
        ),
    ),
    Guard(
        invariant=12,
        guard="countersign_bot.connector.reference.Reference.decode",
        what="a stored reference leads into a foreign tenant",
        old="if reference.tenant not in tenants:",
        new="if False:",
        tests=(f"{REFERENCE}::test_a_stored_one_that_was_changed_is_refused",),
    ),
    Guard(
        invariant=3,
        guard="countersign_bot.connector.sender.Sender._sent",
        what="the token goes wherever the SDK asks",
        old="self._require_allowed(sent.url)",
        new="pass",
        tests=(f"{GATE}::test_the_last_step_sends_a_token_to_known_hosts_alone",),
    ),
    Guard(
        invariant=3,
        guard="countersign_bot.outgoing.Outgoing.send",
        what="a redirect takes a card elsewhere",
        old="allow_redirects=False,",
        new="allow_redirects=True,",
        tests=(f"{CONNECTOR}::test_a_redirect_takes_the_token_nowhere",),
    ),
    Guard(
        invariant=7,
        guard="countersign_bot.connector.protocol.Member.is_human_of",
        what="whose role Teams does not tell is a person",
        old='self.role == "user"',
        new="True",
        tests=(f"{CONNECTOR}::test_who_is_not_surely_a_person_of_the_tenant_is_none",),
    ),
    Guard(
        invariant=7,
        guard="countersign_bot.connector.protocol.Member.is_human_of",
        what="a guest by name decides",
        old="            and not self.is_guest\n",
        new="",
        tests=(f"{CONNECTOR}::test_who_is_not_surely_a_person_of_the_tenant_is_none",),
    ),
    Guard(
        invariant=12,
        guard="countersign_bot.connector.protocol.Member.is_human_of",
        what="somebody of another tenant decides",
        old="            and self.tenant == tenant\n",
        new="",
        tests=(
            f"{CONNECTOR}::test_who_is_not_surely_a_person_of_the_tenant_is_none",
            f"{CONNECTOR}::test_a_member_is_told_with_what_the_sdk_does_not_know",
        ),
    ),
    Guard(
        invariant=7,
        guard="countersign_bot.settings.Settings._closed_to_strangers",
        what="without an app id everybody is the Bot Framework",
        old="if not self.app.id and not (self.development and self.listen.on_loopback):",
        new="if False:",
        tests=(
            f"{SETTINGS}::test_without_an_app_id_it_starts_for_a_simulator_on_this_machine_only",
            f"{FAULTS}::test_10_without_an_app_id_it_does_not_start",
        ),
    ),
    Guard(
        invariant=7,
        guard="countersign_bot.settings.Settings.is_open",
        what="development alone opens the door",
        old="return not self.app.id",
        new="return self.development",
        tests=(
            f"{SETTINGS}::test_without_an_app_id_it_starts_for_a_simulator_on_this_machine_only",
            f"{INTEGRATION}/test_bot_inbound.py::test_with_an_app_id_development_opens_nothing",
        ),
    ),
    Guard(
        invariant=7,
        guard="countersign_bot.clicks.Clicks._person",
        what="a guest, an app or somebody of another tenant decides",
        old="if not member.is_human_of(inbound.tenant, inbound.subject):",
        new="if False:",
        tests=(f"{CLICKS}::test_only_a_person_at_home_in_the_tenant_clicks",),
    ),
    Guard(
        invariant=7,
        guard="countersign_bot.roster.Roster.member",
        what="who left the conversation decides by an old roster",
        old="if kept is not None and not fresh and now - kept[0] < KEEP_S:",
        new="if kept is not None and now - kept[0] < KEEP_S:",
        tests=(
            f"{CLICKS}::test_to_decide_the_roster_is_asked_anew_and_to_look_it_may_be_remembered",
        ),
    ),
    Guard(
        invariant=4,
        guard="countersign_bot.clicks.Clicks._clicked",
        what="a forwarded or copied card decides",
        old="if not self._stands_here(card, inbound, place):",
        new="if False:",
        tests=(f"{CLICKS}::test_only_the_message_that_was_posted_there_is_clicked_on",),
    ),
    Guard(
        invariant=4,
        guard="countersign_bot.clicks.Clicks._clicked",
        what="a card of an older revision decides",
        old="if not reading and click.handle.nonce != card.nonce:",
        new="if False:",
        tests=(f"{CLICKS}::test_with_another_nonce_nothing_is_done_and_the_newest_is_shown",),
    ),
    Guard(
        invariant=4,
        guard="countersign_bot.clicks.Clicks._posted",
        what="a card decides on another review than its own",
        old="if card.review_id != handle.review_id:",
        new="if False:",
        tests=(f"{CLICKS}::test_a_card_of_another_review_is_no_card_of_this_one",),
    ),
    Guard(
        invariant=2,
        guard="countersign_bot.showing.card_of",
        what="a card that is not as ours have to be is sent",
        old="    if found:\n",
        new="    if False:\n",
        tests=(f"{COURIER}::test_a_card_that_is_not_as_ours_have_to_be_is_not_sent",),
    ),
    Guard(
        invariant=4,
        guard="countersign_bot.clicks.Clicks._replace",
        what="whoever reads along in a conversation takes a card from all of it",
        old="if not alone or not message_id",
        new="if not message_id",
        tests=(f"{CLICKS}::test_where_others_read_along_no_click_changes_another_message",),
    ),
    Guard(
        invariant=3,
        guard="countersign_bot.courier.Courier._require_theirs",
        what="what one person may see is written into another chat, or a guest's",
        old="if not alone or not member.is_human_of(tenant, account.subject):",
        new="if False:",
        tests=(
            f"{COURIER}::test_what_is_for_one_person_goes_to_no_other_chat",
            f"{COURIER}::test_a_guests_chat_gets_no_card",
        ),
    ),
    Guard(
        invariant=12,
        guard="countersign.flow.delivering.acknowledge",
        what="a bot settles another channel's card",
        old="if card is None or card.channel != channel.id or card.lease is None:",
        new="if card is None or card.lease is None:",
        tests=(f"{DELIVERING}::test_a_bot_meets_only_its_own_channel_and_tenant",),
    ),
    Guard(
        invariant=12,
        guard="countersign.flow.delivering.card",
        what="a bot reads another channel's card",
        old="own = found if found is not None and found.channel == channel.id else None",
        new="own = found",
        tests=(f"{DELIVERING}::test_a_bot_meets_only_its_own_channel_and_tenant",),
    ),
    Guard(
        invariant=4,
        guard="countersign.flow.delivering.nonce",
        what="a card of an older revision looks current",
        old="revision = str(review.revision).encode()",
        new='revision = b""',
        tests=(f"{DELIVERING}::test_a_new_revision_has_another_nonce",),
    ),
    Guard(
        invariant=4,
        guard="countersign.review.voting._unseen",
        what="one's own credential decides on the masks of others",
        old="if isinstance(event, VoteCast) and _in_conversation(review, event):",
        new="if isinstance(event, VoteCast):",
        tests=(
            f"{DELIVERING}::test_by_ones_own_credential_only_ones_own_preview_can_be_decided_on",
        ),
    ),
    Guard(
        invariant=4,
        guard="countersign.review.voting._in_conversation",
        what="a channel decides on the masks of a conversation where there is none",
        old="return event.channel is not None and review",
        new="return event.channel is not None or review",
        tests=(
            f"{RACES}::test_a_body_of_a_conversation_is_decided_on_only_where_policy_asks_for_one",
        ),
    ),
    Guard(
        invariant=9,
        guard="countersign.cards._outdated",
        what="who loses their say while a card is on its way goes on seeing it",
        old="version=min(lease.version, old)",
        new="version=lease.version",
        tests=(f"{RACES}::test_who_loses_their_say_while_a_card_is_lent_is_told_so_next",),
    ),
    Guard(
        invariant=9,
        guard="countersign.flow.delivering._delivery",
        what="a conversation that no operator names any more is shown reviews",
        old="else _named(people, card)",
        new="else True",
        tests=(
            f"{RACES}::test_a_conversation_that_no_operator_names_any_more_is_told_nothing_more",
        ),
    ),
    Guard(
        invariant=3,
        guard="countersign.review.standing.shared_profile",
        what="a conversation is shown the mask of some of its people",
        old="return max(used, key=MASK_PROFILES.index)",
        new="return min(used, key=MASK_PROFILES.index)",
        tests=(f"{DELIVERING}::test_a_named_conversation_is_shown_one_body_with_everybodys_masks",),
    ),
    Guard(
        invariant=6,
        guard="countersign.flow.targets.targets",
        what="somebody of the requester chain is asked to decide",
        old="- barred(review) - used_up",
        new="- used_up",
        tests=(
            f"{DELIVERING}::test_whom_the_open_stage_asks_is_reached_alone_and_nobody_of_the_chain",
        ),
    ),
)
