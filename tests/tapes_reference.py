"""The token world of chains, slowly: texts in place of arrays, one rule after the other."""

CHARACTERS = "0123456789+-x=;.E_?!RHJTCBabcdefghij"
NOTHING = {
    **{"own": False, "correct": False, "turn": 0, "step": -1, "step_end": False, "step_ok": False, "place": -1},
    **{"right": "0", "reward": 0.0, "terminated": False},
}


def apply(operator, a, b):
    return {"+": a + b, "-": a - b, "x": a * b}[operator] % 10


def partial_results(question):
    """Of a question such as ``7+3x2``."""
    value, results = int(question[0]), []
    for operator, digit in zip(question[1::2], question[2::2], strict=True):
        value = apply(operator, value, int(digit))
        results.append(value)
    return results


def judge(question, answer, token, answer_only):
    """What is true of ``token`` after ``answer``."""
    results = partial_results(question)
    written = [int(character) for character in answer if character.isdigit()]
    last = written[-1] if written else int(question[0])
    right = "E"
    if answer_only and not written:
        right = str(results[-1])
    elif not answer_only and len(written) < len(results):
        operator, digit = question[2 * len(written) + 1 :][:2]
        right = str(apply(operator, last, int(digit)))
    return {
        "correct": token == "E" and bool(written) and last == results[-1],
        "step": len(written),
        "step_end": token.isdigit(),
        "step_ok": token.isdigit() and token == right,
        "place": 10 * len(written) + last,
        "right": right,
    }


def play(question, proposals, prompt_length, room, answer_only=False, prefix="", turns=1, feedback="none"):
    """An episode of ``turns`` answers of at most ``room`` tokens; one dictionary for each of the proposed characters.

    The first answer begins with ``prefix``, which is not the policy's. After the end nothing happens.
    """
    tape = (question + "=").rjust(prompt_length, "_") + prefix
    between = {"none": 0, "unary": 1, "position": 2, "token": 3, "revise": 1}[feedback]
    length = prompt_length + turns * room + (turns - 1) * between - 1
    answer, wrong, turn, time, ended, steps = prefix, None, 0, 0, False, []
    for proposal in proposals:
        facts = dict(NOTHING)
        if not ended:
            time += 1
            if time == len(tape):
                truth = judge(question, answer, proposal, answer_only)
                facts |= truth | {"own": True, "turn": turn, "place": truth["place"] * turns + turn}
                tape, answer = tape + proposal, answer + proposal
                closes = proposal == "E" or len(answer) == room
                if wrong is None and ((truth["step_end"] and not truth["step_ok"]) or (closes and not truth["correct"])):
                    wrong = f"{truth['step']}{truth['right']}"
                ended = closes and (turn == turns - 1 or (truth["correct"] and feedback != "revise"))
                facts["reward"] = float(ended and truth["correct"])
                if closes and not ended:
                    text = {"none": "", "unary": "!", "revise": "?"}
                    tape += text[feedback] if feedback in text else f"!{wrong[0]}" if feedback == "position" else f"H{wrong}"
                    answer, wrong, turn = "", None, turn + 1
            ended = ended or time == length
            facts["terminated"] = ended
        steps.append({**facts, "obs": tape[time], "tape": tape.ljust(length + 1, "_")})
    return steps
