/* Keys and tokens made by jose, see jwt_samples.mjs. The private keys are nowhere. */
#ifndef SHEAF_TESTS_JWT_SAMPLES_H
#define SHEAF_TESTS_JWT_SAMPLES_H

/* clang-format off */
#define SAMPLE_JWKS \
    "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"smAzS0lU5NgLfBpbCA_rKfoxBE32wYbt2iG0JjvPri7OFR-Btsw_toiOaceB38TT_4vz4" \
    "zw1QthbmBma79oxbrXJfyOJLWTC8gYjke7jXuslHv94FECcAYKtseqEO2dDm0PQhdssvQPtLsnDaFSw0oNHH0Kv9792L6d3H" \
    "eXyvGmmaIHN9zLG6TQuTrrnXvTqIq_djuVe29ZxZBpdgScG8UVZsCVHgWAbeVUkqs0TWGdLPRou8no0x25EfgevbWk2Qd2ob" \
    "ewkiQ3MXpVgrCdB2tvlcBLuUAhGMBsoCXdAPCsoGY0_LhJOzFFqWQJFm_u_lj-kCBF4CUiuWXP7zS9bFw\",\"e\":\"AQAB\",\"k" \
    "id\":\"rsa\",\"use\":\"sig\"},{\"kty\":\"RSA\",\"n\":\"29mStvgWsm1wpuP8jy1oKEzWgVRPzeM3PFqJ5C6DmbApiCust2knvnV" \
    "pxQL8Dyk_mjjt6U_gMAJBAWqRrGTtK_xJTVuJBNEgjM3UsUgxjDTFT8gOkcUYHdfjRmIacJf5RpsDuWcorVROy0y0MFLtDmL" \
    "B1Qx8FvqXXh3LkZu7B09Z3k9H7J09Dxu7lxevrk8yCq6pax3kjMYanSS4iyLDunETeR86YxtJoLuzogQvg8XEfT6rI345C6Y" \
    "YT63MQ6oEjEmNsBssF2sHd7cjh5Sxz6Y0FU9KZtqGwgYS9cCS6DJU2Wi08vbwyn65GM01Xqkdt7tBIQczqXrK5ahiKoE4wQ\"" \
    ",\"e\":\"AQAB\",\"kid\":\"rsa-pss\",\"alg\":\"PS256\"},{\"kty\":\"EC\",\"x\":\"SSNyW2O9Dh99azHUhK-o-Ps_SmPVIeNgFG3U" \
    "j4_TnGY\",\"y\":\"7SJw0lXId79q6iAyQlXIITH3I3nikUeTHuvYXSg3nKY\",\"crv\":\"P-256\",\"kid\":\"ec\",\"key_ops\":[\"" \
    "verify\"]},{\"crv\":\"Ed25519\",\"x\":\"GA52NhLR2PSo973Ew_ZnPKpfFtMBMccUlg4EMjKggqk\",\"kty\":\"OKP\",\"kid\":\"" \
    "ed\"}]}"
#define SAMPLE_JWKS_NEW \
    "{\"keys\":[{\"kty\":\"EC\",\"x\":\"ybCtTgQJOyWjTl7ElfyTovsAfp7mkfQTde70ZmKZug0\",\"y\":\"vBeS134W5y9fHUGsV6SH" \
    "SUrxnvT4LOuwIm0cr7UyRT8\",\"crv\":\"P-256\",\"kid\":\"new\"}]}"
#define SAMPLE_RSA \
    "{\"kty\":\"RSA\",\"n\":\"smAzS0lU5NgLfBpbCA_rKfoxBE32wYbt2iG0JjvPri7OFR-Btsw_toiOaceB38TT_4vz4zw1QthbmB" \
    "ma79oxbrXJfyOJLWTC8gYjke7jXuslHv94FECcAYKtseqEO2dDm0PQhdssvQPtLsnDaFSw0oNHH0Kv9792L6d3HeXyvGmmaI" \
    "HN9zLG6TQuTrrnXvTqIq_djuVe29ZxZBpdgScG8UVZsCVHgWAbeVUkqs0TWGdLPRou8no0x25EfgevbWk2Qd2obewkiQ3MXp" \
    "VgrCdB2tvlcBLuUAhGMBsoCXdAPCsoGY0_LhJOzFFqWQJFm_u_lj-kCBF4CUiuWXP7zS9bFw\",\"e\":\"AQAB\",\"kid\":\"rsa\"" \
    "}"
#define SAMPLE_EC \
    "{\"kty\":\"EC\",\"x\":\"SSNyW2O9Dh99azHUhK-o-Ps_SmPVIeNgFG3Uj4_TnGY\",\"y\":\"7SJw0lXId79q6iAyQlXIITH3I3nik" \
    "UeTHuvYXSg3nKY\",\"crv\":\"P-256\",\"kid\":\"ec\"}"
#define SAMPLE_RS256 \
    "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYSJ9.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGU" \
    "iLCJhdWQiOlsiYXBpIiwib3RoZXIiXSwic2NvcGUiOiJyZWFkIHdyaXRlIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjQwMDA" \
    "wMDAwMDAsImFkbWluIjpmYWxzZSwibGV2ZWwiOjMsInJvbGVzIjpbImEiLCJiIl0sInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI" \
    "6WyJ4IiwieSJdfSwiaHR0cHM6Ly94LmV4YW1wbGUvdGVuYW50IjoidDEifQ.dbxtcEgTgztrUeWhl-0Ovqw7ty21fa0HkcPy" \
    "lJIsS0nckU-xr8yShvqjVXkYoRHAqLvQvMOF0-vXp4l1bolP_jen2fnE9u05DIwEIWl1sf1E90Dh8fU4xNTzY5UEsHu2CAIQ" \
    "OdcHuFoPfYhuP3kN625fYyoluQLGeQ2jCYOJJw6Ten2ncePpo3X6p7L4PnGERIap7UVW0jS8QWA4QKf073adOai9Gm5O8ccM" \
    "kCvuNC7Am9yemoFEM5jNNw67fIPqPANm1L1bYJAEVDUM1UjdRACisGmZjZ4FlSxXD8k7vG5JHu669-bt_Hx8BPkbhoF6RvP6" \
    "K_IGMmhtuckIjhuXIQ"
#define SAMPLE_PS256 \
    "eyJhbGciOiJQUzI1NiIsImtpZCI6InJzYS1wc3MifQ.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4Y" \
    "W1wbGUiLCJhdWQiOlsiYXBpIiwib3RoZXIiXSwic2NvcGUiOiJyZWFkIHdyaXRlIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiO" \
    "jQwMDAwMDAwMDAsImFkbWluIjpmYWxzZSwibGV2ZWwiOjMsInJvbGVzIjpbImEiLCJiIl0sInJlYWxtX2FjY2VzcyI6eyJyb" \
    "2xlcyI6WyJ4IiwieSJdfSwiaHR0cHM6Ly94LmV4YW1wbGUvdGVuYW50IjoidDEifQ.kWPeVYBKhLMu1yLxGYi6GqLUsm5VfY" \
    "TqrRsceU1FRYc-EV1QPHKzHqQdlTj-5k8S3sQ7abCYlz3KOPZ9TgYuL43UOeTdbBCeAC3lLmHcZkO2If99LUTAr6nanvCiIS" \
    "tpxE2A9or3x1G6GzxvXyF0I9YHhS4j8-kY7vvyImm4h0uSroCqeGkooSkztKtsUltWZUkWFHY9kEkivIz-jvvt8PfSa_mJwE" \
    "1RFEd2tGqJwB6Rp8vNhLa3XTUZjuGGtbgKzKQ1cBm3DXkCCO-qrzuebmc_LsG8Ufgw_W4ZJGzbSQU1-i8ybv4qhnCzCetruA" \
    "6F3q14QmaQ7ySl3MxTT6YHCQ"
#define SAMPLE_RS256_BY_PSS_KEY \
    "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYS1wc3MifQ.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4Y" \
    "W1wbGUiLCJhdWQiOlsiYXBpIiwib3RoZXIiXSwic2NvcGUiOiJyZWFkIHdyaXRlIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiO" \
    "jQwMDAwMDAwMDAsImFkbWluIjpmYWxzZSwibGV2ZWwiOjMsInJvbGVzIjpbImEiLCJiIl0sInJlYWxtX2FjY2VzcyI6eyJyb" \
    "2xlcyI6WyJ4IiwieSJdfSwiaHR0cHM6Ly94LmV4YW1wbGUvdGVuYW50IjoidDEifQ.2QpqLy6qckYATerCMIRpb1kV8fgibx" \
    "SYrs2nhhjVWIDIzTAbIxSQWq-aWQPjqUgiUvVhxJCoLRhdtnZiAnjXFGeA1PqkHAwFK6axzNOQ-TAJUM7qj1TFFSVxPW6R4S" \
    "RzJdhJGEA5lTSUCzLeDIpp5ALwIkZJvyw89k0L-5w54FG67aXnYxfUq_AtjYPTKA7ab7Ynw5Ri-iRXGrjbFvpvCntsiwTewa" \
    "H0ZJLWBxKCQULvgYi4n4pSiukZMs54iZYObct0dAhjafkBU8NAtwzVBtVqHN1rdFPr1un-A6dKwcUUqa1Ru4oGa4gpzLlWkX" \
    "i9jOeNoDpxooOvjk7TlfOsXA"
#define SAMPLE_ES256 \
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjIn0.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUi" \
    "LCJhdWQiOlsiYXBpIiwib3RoZXIiXSwic2NvcGUiOiJyZWFkIHdyaXRlIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjQwMDAw" \
    "MDAwMDAsImFkbWluIjpmYWxzZSwibGV2ZWwiOjMsInJvbGVzIjpbImEiLCJiIl0sInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6" \
    "WyJ4IiwieSJdfSwiaHR0cHM6Ly94LmV4YW1wbGUvdGVuYW50IjoidDEifQ.HPHGF2VwT-_N2ltmiUtr_TxnH9F3cbannI0eE" \
    "Nzj0CQ-QwCJ-03QcwWEzcYO8fwqfbwcbWA6ttDDDZR-9SF9wA"
#define SAMPLE_EDDSA \
    "eyJhbGciOiJFZERTQSIsImtpZCI6ImVkIn0.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUi" \
    "LCJhdWQiOlsiYXBpIiwib3RoZXIiXSwic2NvcGUiOiJyZWFkIHdyaXRlIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjQwMDAw" \
    "MDAwMDAsImFkbWluIjpmYWxzZSwibGV2ZWwiOjMsInJvbGVzIjpbImEiLCJiIl0sInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6" \
    "WyJ4IiwieSJdfSwiaHR0cHM6Ly94LmV4YW1wbGUvdGVuYW50IjoidDEifQ.3t_VyLn-rLGZZeUR_BJ0rCB6W7vSWcCn3M6Nu" \
    "Xk5Ti-qil_Of-RJ3TUKEnsExmGDINL6ilQfqB-s_aCkQqlBBw"
#define SAMPLE_TYPED \
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjIiwidHlwIjoiYXBwbGljYXRpb24vQVQrand0In0.eyJzdWIiOiJhbGljZSIsImlz" \
    "cyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsiYXBpIiwib3RoZXIiXSwic2NvcGUiOiJyZWFkIHdyaXRlIiwi" \
    "aWF0IjoxNzAwMDAwMDAwLCJleHAiOjQwMDAwMDAwMDAsImFkbWluIjpmYWxzZSwibGV2ZWwiOjMsInJvbGVzIjpbImEiLCJi" \
    "Il0sInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6WyJ4IiwieSJdfSwiaHR0cHM6Ly94LmV4YW1wbGUvdGVuYW50IjoidDEifQ.y" \
    "-xsaKk5fozz5rtVLYNiSIbtxnx6m61OwWtUZt2ErhEs9tQYndTQQyjM6BFZZGjO8GkSfSDAJELeTiY5YzqoUw"
#define SAMPLE_NEW \
    "eyJhbGciOiJFUzI1NiIsImtpZCI6Im5ldyJ9.eyJzdWIiOiJuaW5hIiwiaXNzIjoiaHR0cHM6Ly9pc3N1ZXIuZXhhbXBsZSI" \
    "sImF1ZCI6WyJhcGkiLCJvdGhlciJdLCJzY29wZSI6InJlYWQgd3JpdGUiLCJpYXQiOjE3MDAwMDAwMDAsImV4cCI6NDAwMDA" \
    "wMDAwMCwiYWRtaW4iOmZhbHNlLCJsZXZlbCI6Mywicm9sZXMiOlsiYSIsImIiXSwicmVhbG1fYWNjZXNzIjp7InJvbGVzIjp" \
    "bIngiLCJ5Il19LCJodHRwczovL3guZXhhbXBsZS90ZW5hbnQiOiJ0MSJ9.5ZdE0J5UStTkNZ3fFLLKv9-KZ66r_3UNbWDn5i" \
    "FD3Lra8mgvXZ8bs__JL86_N2VxYF2rLSbJDufZoaYOrXcyPA"
#define SAMPLE_BOB \
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjIn0.eyJzdWIiOiJib2IiLCJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIiwi" \
    "YXVkIjpbImFwaSIsIm90aGVyIl0sImlhdCI6MTcwMDAwMDAwMCwiZXhwIjo0MDAwMDAwMDAwLCJhZG1pbiI6ZmFsc2UsInJv" \
    "bGVzIjpbImEiLCJiIl0sInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6WyJ4IiwieSJdfSwiaHR0cHM6Ly94LmV4YW1wbGUvdGVu" \
    "YW50IjoidDEiLCJzY3AiOlsicmVhZCJdfQ.i-T_7V3uKuy41W9JoD1AoeZGs8lqg5kdwm8bHWGmJ5wj2sZaCurICoCBbkC61" \
    "Nual3OunGHG8qYgACOtV2E-Hg"
#define SAMPLE_EXPIRED \
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjIn0.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUi" \
    "LCJhdWQiOlsiYXBpIiwib3RoZXIiXSwic2NvcGUiOiJyZWFkIHdyaXRlIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjE3MDAw" \
    "MDAxMDAsImFkbWluIjpmYWxzZSwibGV2ZWwiOjMsInJvbGVzIjpbImEiLCJiIl0sInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6" \
    "WyJ4IiwieSJdfSwiaHR0cHM6Ly94LmV4YW1wbGUvdGVuYW50IjoidDEifQ.3cOOs0FfJfpva8Rwe6dAPvgb0K7iCXEna85nR" \
    "BjsMxhrmrBRGGCDh6Wai_xH_zghsrXjCGf-RaeCcnuU1abd-A"
#define SAMPLE_FOREVER \
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjIn0.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUi" \
    "LCJhdWQiOlsiYXBpIiwib3RoZXIiXSwic2NvcGUiOiJyZWFkIHdyaXRlIiwiaWF0IjoxNzAwMDAwMDAwLCJhZG1pbiI6ZmFs" \
    "c2UsImxldmVsIjozLCJyb2xlcyI6WyJhIiwiYiJdLCJyZWFsbV9hY2Nlc3MiOnsicm9sZXMiOlsieCIsInkiXX0sImh0dHBz" \
    "Oi8veC5leGFtcGxlL3RlbmFudCI6InQxIn0.BESg4xAIh08ph5u0jl-8aOvnzxwz-uFHznZX0FxsUyIdwE8Th110RT7lUkol" \
    "DAhT6rQDCKUXepvfYWxI7nwM-w"
#define SAMPLE_EARLY \
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjIn0.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUi" \
    "LCJhdWQiOlsiYXBpIiwib3RoZXIiXSwic2NvcGUiOiJyZWFkIHdyaXRlIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjQwMDAw" \
    "MDAwMDAsImFkbWluIjpmYWxzZSwibGV2ZWwiOjMsInJvbGVzIjpbImEiLCJiIl0sInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6" \
    "WyJ4IiwieSJdfSwiaHR0cHM6Ly94LmV4YW1wbGUvdGVuYW50IjoidDEiLCJuYmYiOjM5MDAwMDAwMDB9.nIGp7ufxkHI2EvO" \
    "qaOUqpA8SI4rNeP-4wkcrZzND2qXDBvoHhMeuIWNezWx3n8OQFF78Byz4RB5glg-C_bPd8w"
#define SAMPLE_NO_KID \
    "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsiYXB" \
    "pIiwib3RoZXIiXSwic2NvcGUiOiJyZWFkIHdyaXRlIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjQwMDAwMDAwMDAsImFkbWl" \
    "uIjpmYWxzZSwibGV2ZWwiOjMsInJvbGVzIjpbImEiLCJiIl0sInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6WyJ4IiwieSJdfSw" \
    "iaHR0cHM6Ly94LmV4YW1wbGUvdGVuYW50IjoidDEifQ.74r1wven5ifWvM_IS59XrIuz-f8Y1EzUrnIJw6ryRzVCzb087A6g" \
    "P-zK3hbrkzPzVs99UKdUyCe4Di0aDmV44Q"
#define SAMPLE_CRIT \
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjIiwiY3JpdCI6WyJ1cm46eCJdLCJ1cm46eCI6MX0.eyJzdWIiOiJhbGljZSIsImlz" \
    "cyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsiYXBpIiwib3RoZXIiXSwic2NvcGUiOiJyZWFkIHdyaXRlIiwi" \
    "aWF0IjoxNzAwMDAwMDAwLCJleHAiOjQwMDAwMDAwMDAsImFkbWluIjpmYWxzZSwibGV2ZWwiOjMsInJvbGVzIjpbImEiLCJi" \
    "Il0sInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6WyJ4IiwieSJdfSwiaHR0cHM6Ly94LmV4YW1wbGUvdGVuYW50IjoidDEifQ.N" \
    "rABgjT03g4s_wvINKLbfPTRMllHMHIdQvT9FvVMK8nyD761gPrYc6Zi4nnS17m0UGIeEclzqDXto92GRpcJ5A"
#define SAMPLE_NONE \
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsiYXBp" \
    "Iiwib3RoZXIiXSwic2NvcGUiOiJyZWFkIHdyaXRlIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjQwMDAwMDAwMDAsImFkbWlu" \
    "IjpmYWxzZSwibGV2ZWwiOjMsInJvbGVzIjpbImEiLCJiIl0sInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6WyJ4IiwieSJdfSwi" \
    "aHR0cHM6Ly94LmV4YW1wbGUvdGVuYW50IjoidDEifQ."
#define SAMPLE_SECRET \
    "0123456789abcdef0123456789abcdef"
#define SAMPLE_HS256 \
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsiYXB" \
    "pIiwib3RoZXIiXSwic2NvcGUiOiJyZWFkIHdyaXRlIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjQwMDAwMDAwMDAsImFkbWl" \
    "uIjpmYWxzZSwibGV2ZWwiOjMsInJvbGVzIjpbImEiLCJiIl0sInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6WyJ4IiwieSJdfSw" \
    "iaHR0cHM6Ly94LmV4YW1wbGUvdGVuYW50IjoidDEifQ.mEn6wgzw-TrMcB0aZSdvv8_gXXmXfGVHyTqRc9CnU9k"
#define SAMPLE_CONFUSED_PEM \
    "eyJhbGciOiJIUzI1NiIsImtpZCI6InJzYSJ9.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGU" \
    "iLCJhdWQiOlsiYXBpIiwib3RoZXIiXSwic2NvcGUiOiJyZWFkIHdyaXRlIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjQwMDA" \
    "wMDAwMDAsImFkbWluIjpmYWxzZSwibGV2ZWwiOjMsInJvbGVzIjpbImEiLCJiIl0sInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI" \
    "6WyJ4IiwieSJdfSwiaHR0cHM6Ly94LmV4YW1wbGUvdGVuYW50IjoidDEifQ.xkPRAweIwMqRz8N3BDJDey7rY-4jvfw0zIHF" \
    "bifK_nU"
#define SAMPLE_CONFUSED_N \
    "eyJhbGciOiJIUzI1NiIsImtpZCI6InJzYSJ9.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGU" \
    "iLCJhdWQiOlsiYXBpIiwib3RoZXIiXSwic2NvcGUiOiJyZWFkIHdyaXRlIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjQwMDA" \
    "wMDAwMDAsImFkbWluIjpmYWxzZSwibGV2ZWwiOjMsInJvbGVzIjpbImEiLCJiIl0sInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI" \
    "6WyJ4IiwieSJdfSwiaHR0cHM6Ly94LmV4YW1wbGUvdGVuYW50IjoidDEifQ.gvCzceaEhyXWHZs8eIbJ2EKHIGFiLId5nw2H" \
    "eToldd8"
/* clang-format on */

#endif
