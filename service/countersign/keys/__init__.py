"""Where private keys are: a file, the environment, or a signer beside the service.

`open_key` reads what a setting of `[keys]` names and returns what signs:

    keys/log.pem                a file                          `files`
    env:NAME                    an environment variable         `files`
    unix:/run/signer.sock#log   a signer on a unix socket       `external`
    aws-kms:alias/log           AWS KMS                         `kms`, needs the extra `s3`

Called by `keyring` alone; `init` and `keys rotate` make files.
"""

from countersign.keys.files import create_key, read_key, rotate_key
from countersign.keys.sources import Kind, Source, open_key

__all__ = ["Kind", "Source", "create_key", "open_key", "read_key", "rotate_key"]
