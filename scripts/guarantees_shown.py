"""The guards of what a bot's cards show and offer.

Data only; see `guarantees_guard`.
"""

from __future__ import annotations

from typing import Final

from guarantees_guard import UNIT, Guard

CARD: Final = f"{UNIT}/test_bot_card.py"
TEXT: Final = f"{UNIT}/test_bot_card_text.py"
LINT: Final = f"{UNIT}/test_bot_card_lint.py"
HANDLE: Final = f"{UNIT}/test_bot_card_handle.py"

SHOWN_GUARDS: Final = (
    Guard(
        invariant=9,
        guard="countersign_bot.card.build._card",
        what="a card that is cut can be approved",
        old="whole=whole and not page.cut",
        new="whole=whole",
        tests=(
            f"{CARD}::test_what_is_cut_says_so_and_offers_no_approval",
            f"{CARD}::test_what_fits_can_be_approved_and_one_value_more_can_not",
        ),
    ),
    Guard(
        invariant=9,
        guard="countersign_bot.card.build._card",
        what="a card can be approved though its preview cannot",
        old="preview.reviewable and ",
        new="",
        tests=(f"{CARD}::test_what_cannot_be_reviewed_can_be_denied_and_read_in_full",),
    ),
    Guard(
        invariant=9,
        guard="countersign_bot.card.build._card",
        what="a card can be approved without what policy demands to be seen",
        old=" and demands.met(context, facts)",
        new="",
        tests=(f"{CARD}::test_what_policy_demands_but_is_not_there_keeps_from_approving",),
    ),
    Guard(
        invariant=9,
        guard="countersign_bot.card.build._check",
        what="a card's buttons vote on another preview than it shows",
        old="raise ValueError(",
        new="str(",
        tests=(f"{CARD}::test_a_handle_of_something_else_makes_no_card",),
    ),
    Guard(
        invariant=9,
        guard="countersign_bot.card.text._apart",
        what="a client expands what somebody wrote",
        old='_OPENED_TWICE.sub("{ ", line)',
        new="line",
        tests=(f"{TEXT}::test_what_could_deceive_is_spelled_out",),
    ),
    Guard(
        invariant=9,
        guard="countersign_bot.card.text._run",
        what="characters nobody sees turn round or hide what a reviewer reads",
        old="if unseen or _UNSEEN_MARKS.match(char):",
        new="if False:",
        tests=(f"{TEXT}::test_what_could_deceive_is_spelled_out",),
    ),
    Guard(
        invariant=9,
        guard="countersign_bot.card.text._isolated",
        what="a name from right to left turns round what stands beside it",
        old="if turns else line",
        new="if False else line",
        tests=(f"{TEXT}::test_what_could_deceive_is_spelled_out",),
    ),
    Guard(
        invariant=9,
        guard="countersign_bot.card.lint._Look._is_ours",
        what="what somebody wrote stands where a client reads markup",
        old="return self._words.says(rest if sign in _SIGNS else told)",
        new="return bool(sign or rest)",
        tests=(f"{LINT}::test_what_must_not_be_is_found",),
    ),
    Guard(
        invariant=6,
        guard="countersign_bot.card.build._offer",
        what="the requester is offered to decide",
        old="if view.asked_for_it or (mine and review.cannot_decide):",
        new="if False:",
        tests=(f"{CARD}::test_the_requester_decides_nothing_and_is_told_how_it_ends",),
    ),
    Guard(
        invariant=7,
        guard="countersign_bot.card.build._offer",
        what="a click is offered where a person's own credential is demanded",
        old='by_channel = review.min_assurance != "person"',
        new="by_channel = True",
        tests=(f"{CARD}::test_a_click_in_a_chat_is_no_personal_credential",),
    ),
    Guard(
        invariant=7,
        guard="countersign_bot.card.handle.read",
        what="an action that says one verb does another",
        old="if verb is not None and verb != said.value:",
        new="if False:",
        tests=(f"{HANDLE}::test_an_action_that_says_one_verb_and_carries_another_is_refused",),
    ),
)
