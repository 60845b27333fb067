"""Write the profile that the SDK's `load_profile` reads: keys, certificate and where the platform is."""

from pathlib import Path
from typing import Final

import msgspec

from tallystick.bootstrap.office import Office
from tallystick.channels.admit import CHANNEL_URI, INSTITUTION_URI
from tallystick.cli.administer import NewChannel, issue_back_end_certificate, issue_channel_certificate
from tallystick.crypto import x509
from tallystick.crypto.signing import Algorithm, Ed25519Private
from tallystick.sdk.settings import ProfileFile

FILE_NAME: Final = "profile.json"
_PRIVATE: Final = 0o600
_DIRECTORY: Final = 0o700


def write_channel(desk: Office, new: NewChannel, directory: Path, base_url: str) -> Path:
    """Write a profile for an HMAC channel just registered, with a fresh certificate; returns the file's path."""
    channel = new.channel
    key = x509.new_private_key()
    csr = x509.make_csr(key, uri=f"{CHANNEL_URI}{channel.id}", common_name=channel.name)
    chain = issue_channel_certificate(desk, channel.id, csr)
    profile = ProfileFile(
        base_url=base_url,
        sender=channel.id,
        algorithm=channel.algorithm,
        ca="ca.pem",
        certificate="certificate.pem",
        private_key="private.key",
        identity="identity.pem",
        mac_key="mac.key",
    )
    secrets = {"private.key": key, "mac.key": (new.mac_key or b"").hex().encode()}
    return _write(desk, directory, profile, chain, secrets)


def write_institution(desk: Office, institution: str, directory: Path, base_url: str, signing_key: bytes) -> Path:
    """Write a profile for an institution that sets numbers or issues values; `signing_key` is its Ed25519 key, PEM."""
    key = x509.new_private_key()
    csr = x509.make_csr(key, uri=f"{INSTITUTION_URI}{institution}", common_name=institution)
    chain = issue_back_end_certificate(desk, institution, csr, ())
    profile = ProfileFile(
        base_url=base_url,
        sender=institution,
        algorithm=Algorithm.ED25519,
        ca="ca.pem",
        certificate="certificate.pem",
        private_key="private.key",
        identity="identity.pem",
        signing_key="signing.key",
    )
    return _write(desk, directory, profile, chain, {"private.key": key, "signing.key": signing_key})


def new_signing_key() -> tuple[bytes, bytes]:
    """Make an Ed25519 key pair for an institution; private and public PEM."""
    key = Ed25519Private()
    return key.pem(), key.public().pem()


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read."""
    path.touch(_PRIVATE)
    path.write_bytes(content)


def _write(desk: Office, directory: Path, profile: ProfileFile, chain: bytes, secrets: dict[str, bytes]) -> Path:
    directory.mkdir(_DIRECTORY, parents=True)
    (directory / profile.ca).write_bytes(desk.ca.trust.read_bytes())
    (directory / profile.certificate).write_bytes(chain)
    (directory / profile.identity).write_bytes(desk.keyring.identity.public().pem())
    for name, content in secrets.items():
        write_private(directory / name, content)
    path = directory / FILE_NAME
    path.write_bytes(msgspec.json.format(msgspec.json.encode(profile)))
    return path
