"""The command line of solvency proofs: `attest`, `prove`, `verify`."""

from pathlib import Path
from typing import Annotated

import typer

_NEW = "A new file; never overwritten."
SnapshotOption = Annotated[Path, typer.Option("--snapshot", metavar="FILE", help="The attester's signed snapshot.")]
NonceOption = Annotated[str, typer.Option("--nonce", metavar="HEX", help="Chosen by the verifier, 16 to 64 bytes.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON envelope on stdout.")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="Config file.", show_default="user config directory")
]
PortfolioOption = Annotated[str | None, typer.Option("--portfolio", metavar="FILE|-", help="A portfolio document.")]
TimeoutOption = Annotated[float, typer.Option("--timeout", min=0.1, max=300, help="Seconds to wait for sources.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    for command in (attest, prove, verify):
        app.command()(command)


def attest(
    accounts: Annotated[list[str], typer.Argument(metavar="ACCOUNT...", help="Loans; several are summed.")],
    key: Annotated[
        str,
        typer.Option(
            "--key", metavar="REF", help="Your signing key: env:NAME, file:PATH or cmd:COMMAND giving 64 hex digits."
        ),
    ],
    snapshot: Annotated[Path, typer.Option("--snapshot", metavar="FILE", help=f"Public. {_NEW}")],
    openings: Annotated[Path, typer.Option("--openings", metavar="FILE", help=f"Secret, for the prover. {_NEW}")],
    assets: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A public list of assets, so that it hides which are held.")
    ] = None,
    subject: Annotated[str, typer.Option(help="Whose accounts, as you would say it in public.")] = "",
    hours: Annotated[int, typer.Option(min=1, max=168, help="How long the snapshot may be used.")] = 24,
    portfolio: PortfolioOption = None,
    block: Annotated[int | None, typer.Option(min=0, help="The block that the document is of.")] = None,
    block_hash: Annotated[str | None, typer.Option("--block-hash", metavar="0xHEX", help="Its hash.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    timeout: TimeoutOption = 20.0,
) -> None:
    """Read loans yourself, commit to what they hold and owe, and sign: amounts stay hidden. For an attester.

    \b
    Examples:
        openssl rand -hex 32 > attester.key && chmod 600 attester.key
        marginline attest main --key file:attester.key --snapshot snapshot.json --openings openings.json
        marginline attest a b --portfolio book.json --assets market.json --subject "Fund I" --key env:ATTESTER_KEY \\
            --snapshot snapshot.json --openings openings.json
    """
    from marginline.commands.attest import Outputs, Place
    from marginline.commands.attest import attest as command

    place = Place(config, portfolio, block, block_hash, timeout)
    outputs = Outputs(snapshot, openings)
    raise typer.Exit(
        command(accounts, place, outputs, key=key, subject=subject, hours=hours, assets=assets, as_json=as_json)
    )


def prove(
    snapshot: SnapshotOption,
    openings: Annotated[Path, typer.Option("--openings", metavar="FILE", help="The secret openings, mode 0600.")],
    floor: Annotated[str, typer.Option("--floor", metavar="H", help="Health to prove: 1.1, 1.25, 1.5 or 2.")],
    nonce: NonceOption,
    proof: Annotated[Path, typer.Option("--proof", metavar="FILE", help=_NEW)],
    surplus_only: Annotated[
        bool, typer.Option("--surplus-only", help="Small; takes the attester's word that amounts are in range.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Prove that health is at least a floor, without amounts, to the verifier who chose the nonce.

    \b
    Examples:
        marginline prove --snapshot snapshot.json --openings openings.json --floor 1.25 --nonce 9f... --proof proof.json
    """
    from marginline.commands.prove import prove as command
    from marginline.solvency.statement import Mode

    mode = Mode.SURPLUS_ONLY if surplus_only else Mode.FULL
    raise typer.Exit(command(snapshot, openings, proof, floor=floor, nonce=nonce, mode=mode, as_json=as_json))


def verify(
    snapshot: SnapshotOption,
    proof: Annotated[Path, typer.Option("--proof", metavar="FILE", help="The proof.")],
    attester: Annotated[
        str, typer.Option("--attester", metavar="HEX", help="Public key of the attester, from the attester itself.")
    ],
    nonce: NonceOption,
    floor: Annotated[str | None, typer.Option("--floor", metavar="H", help="The least floor that will do.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Refuse a surplus-only proof.")] = False,
    portfolio: PortfolioOption = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Compare prices and thresholds with these accounts'.")
    ] = None,
    tolerance: Annotated[
        str, typer.Option("--tolerance", metavar="D", help="How far a stated price may be off yours; 0.01 is 1 %.")
    ] = "0",
    as_json: JsonOption = False,
    timeout: TimeoutOption = 20.0,
) -> None:
    """Say whether a proof holds, what it proves and what not; exit 0 when it holds, 5 when not.

    \b
    Examples:
        marginline verify --snapshot snapshot.json --proof proof.json --attester 03a1... --nonce 9f...
        marginline verify --snapshot s.json --proof p.json --attester 03a1... --nonce 9f... --portfolio prices.json
    """
    from marginline.commands.verify import Wishes
    from marginline.commands.verify import verify as command

    wishes = Wishes(attester, nonce, floor, full, tolerance)
    raise typer.Exit(
        command(snapshot, proof, wishes, portfolio=portfolio, config=config, timeout_s=timeout, as_json=as_json)
    )
