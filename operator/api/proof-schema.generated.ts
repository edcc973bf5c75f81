// Generated from crds/strackt.io_cloudaccounts.yaml by scripts/generate/proof-schema.ts. Do not edit.

/** Schema of `status.account` and `status.credential`. */
export const PROOF_SCHEMA = {
  "account": {
    "type": "object",
    "required": [
      "id",
      "ids"
    ],
    "properties": {
      "id": {
        "type": "string",
        "maxLength": 256
      },
      "ids": {
        "type": "array",
        "items": {
          "type": "string",
          "maxLength": 256
        },
        "maxItems": 16
      },
      "name": {
        "type": "string",
        "maxLength": 256
      }
    }
  },
  "credential": {
    "type": "object",
    "required": [
      "hint",
      "verifiedAt",
      "access",
      "permissions",
      "source"
    ],
    "properties": {
      "hint": {
        "type": "string",
        "maxLength": 256
      },
      "verifiedAt": {
        "type": "string",
        "maxLength": 64,
        "format": "date-time"
      },
      "expiresAt": {
        "type": "string",
        "maxLength": 64,
        "format": "date-time"
      },
      "access": {
        "type": "string",
        "maxLength": 64
      },
      "permissions": {
        "type": "object",
        "required": [
          "state",
          "missing"
        ],
        "properties": {
          "state": {
            "type": "string",
            "maxLength": 64
          },
          "missing": {
            "type": "array",
            "items": {
              "type": "string",
              "maxLength": 256
            },
            "maxItems": 64
          }
        }
      },
      "source": {
        "type": "object",
        "required": [
          "uid",
          "resourceVersion"
        ],
        "properties": {
          "uid": {
            "type": "string",
            "maxLength": 128
          },
          "resourceVersion": {
            "type": "string",
            "maxLength": 128
          }
        }
      }
    }
  }
} as const;
