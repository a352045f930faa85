/* Keys and tokens made by jose, see jwt_samples.mjs. The private keys are nowhere. */
#ifndef SHEAF_TESTS_JWT_SAMPLES_H
#define SHEAF_TESTS_JWT_SAMPLES_H

/* clang-format off */
#define SAMPLE_JWKS \
    "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"rxdQep2zHGUlY7zzMMeNFD7tU_Cx5Ph8HzV-0hc1VRwNubzSt7D49tZDvleVtM_Z5A0Se" \
    "DaewSdbK4f_eJ0Tq18KidHNwCKVVsMRIose45M1As4y3TlT9nTK_Oil8wfShvDMADFtU13jLuzdzpZ9IkVvSVVAs8zGBwFN9" \
    "s-Zm7TLDK_UX2-IRSpf_sbQCo4aUEtPeyn6J8Sg8jbQeROsZKLsGDsaBTTorYmul-fm017_nZNEsBW0U0FDF666_FNWIJSsx" \
    "0LqgeGxaI_hXDj6ZYk_ADtS2KUJc2p7DjXYJTZ2D74aG45-S0lj_k5iYO7_E9-zTgLq30eCczaYHydUmw\",\"e\":\"AQAB\",\"k" \
    "id\":\"rsa\",\"use\":\"sig\"},{\"kty\":\"RSA\",\"n\":\"wMA4FSILIMEJ2X0xjfdXDJZy98s2BS2A9a-tNesJa4U8umXvA_ZaDyi" \
    "NucQIqZLP8MAcc5udnn0kcHQ9Bkv3hZBvcWlxf9BumNag1XjgvNIE48D15wR9Jteea3wS1Vboh-D5SKZH9hNzyIWy4VqWffL" \
    "x3aidR2mNQmDQhEunKfp9jp_rJCAPkdEHlTGMAQbFYltlsJayDK3y7DlCvq5O8ogWYPgabt31A-iMMZwKw4QzFOZJJeHrp2y" \
    "3KpL-aAN39uUIvj0u9HC6ZGczWWaX7zI-y6qZuXPCDC4y--T6BAbOQ5lo04ZXhhSRm0e3FW0JcDtnrsNOT9RgW6jPsD9LgQ\"" \
    ",\"e\":\"AQAB\",\"kid\":\"rsa-pss\",\"alg\":\"PS256\"},{\"kty\":\"EC\",\"x\":\"K026X-XClQWC-25ieHclP4tMyLFVKBKw629Q" \
    "m1sHLlA\",\"y\":\"nDivPVAHvgzaJLakoHGN0WCCcyQ0CJo-zVNCKPdAtx0\",\"crv\":\"P-256\",\"kid\":\"ec\",\"key_ops\":[\"" \
    "verify\"]},{\"crv\":\"Ed25519\",\"x\":\"iUSDRXZ04k4ObshhTxzQ1jEwv6Xlw7WbDt_nwxWxVCY\",\"kty\":\"OKP\",\"kid\":\"" \
    "ed\"}]}"
#define SAMPLE_JWKS_NEW \
    "{\"keys\":[{\"kty\":\"EC\",\"x\":\"mX0xUMgLt1X9AE45LmaGAlta0sT_CAZyGFJU979E0EY\",\"y\":\"BKqwCHxw9B1yKoqV44gM" \
    "yTdQd7FJY2CM9qVmME9jjWY\",\"crv\":\"P-256\",\"kid\":\"new\"}]}"
#define SAMPLE_RSA \
    "{\"kty\":\"RSA\",\"n\":\"rxdQep2zHGUlY7zzMMeNFD7tU_Cx5Ph8HzV-0hc1VRwNubzSt7D49tZDvleVtM_Z5A0SeDaewSdbK4" \
    "f_eJ0Tq18KidHNwCKVVsMRIose45M1As4y3TlT9nTK_Oil8wfShvDMADFtU13jLuzdzpZ9IkVvSVVAs8zGBwFN9s-Zm7TLDK" \
    "_UX2-IRSpf_sbQCo4aUEtPeyn6J8Sg8jbQeROsZKLsGDsaBTTorYmul-fm017_nZNEsBW0U0FDF666_FNWIJSsx0LqgeGxaI" \
    "_hXDj6ZYk_ADtS2KUJc2p7DjXYJTZ2D74aG45-S0lj_k5iYO7_E9-zTgLq30eCczaYHydUmw\",\"e\":\"AQAB\",\"kid\":\"rsa\"" \
    "}"
#define SAMPLE_EC \
    "{\"kty\":\"EC\",\"x\":\"K026X-XClQWC-25ieHclP4tMyLFVKBKw629Qm1sHLlA\",\"y\":\"nDivPVAHvgzaJLakoHGN0WCCcyQ0C" \
    "Jo-zVNCKPdAtx0\",\"crv\":\"P-256\",\"kid\":\"ec\"}"
#define SAMPLE_RS256 \
    "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYSJ9.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGU" \
    "iLCJhdWQiOlsiYXBpIiwib3RoZXIiXSwic2NvcGUiOiJyZWFkIHdyaXRlIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjQwMDA" \
    "wMDAwMDAsImFkbWluIjpmYWxzZSwibGV2ZWwiOjMsInJvbGVzIjpbImEiLCJiIl0sInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI" \
    "6WyJ4IiwieSJdfSwiaHR0cHM6Ly94LmV4YW1wbGUvdGVuYW50IjoidDEifQ.HSyQFV4UFqpdMKEYINf8X7alENqvfjfVT__7" \
    "VDOx9w7GWQ-zpuUyCz8h1J2sxPEtzcnVRiryEKgfhDcZYuCPknFkARhvwjMSOzBNASAdebW8KLjbGysJ8PIwUAZ0qTOKjUSO" \
    "hhR6A4osRwVAhzzeeg6x-frQIPiFSjYOTjjO56QEkjiku1q5kGavZ-COG4ftOdqVKNMaZ40X2PrQoJDk1T--pYUwSrxyK9Nd" \
    "XSOT-QodE5MYD-Uv0oEDyHM5pR5-7EE8KlFKSrhH3X_ZlYSJaDTuieHvKvocs9-uUvLX6idITJiqoy9gSn2UD3mvOjiBJiDA" \
    "YYX4GfThtmg7qUEi7g"
#define SAMPLE_PS256 \
    "eyJhbGciOiJQUzI1NiIsImtpZCI6InJzYS1wc3MifQ.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4Y" \
    "W1wbGUiLCJhdWQiOlsiYXBpIiwib3RoZXIiXSwic2NvcGUiOiJyZWFkIHdyaXRlIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiO" \
    "jQwMDAwMDAwMDAsImFkbWluIjpmYWxzZSwibGV2ZWwiOjMsInJvbGVzIjpbImEiLCJiIl0sInJlYWxtX2FjY2VzcyI6eyJyb" \
    "2xlcyI6WyJ4IiwieSJdfSwiaHR0cHM6Ly94LmV4YW1wbGUvdGVuYW50IjoidDEifQ.mJZw6C_GQlb3iQFnYiX3UHhj9c-nT-" \
    "MLwauRb2-Qu90OKwhsSlQQfR04_tCd6QSIv0jjaZVLGD_0uUnVPaU6pLiY4gGt9NSXKGi57O-o9RoppZQl6x1OSgZZyvO8mE" \
    "Us4xGueqb3qOneupiRsonVFyPOJxkm8c19Q-NY_VRXpoTta1CXnt4DE0a5xADOBZXcddieC-bekrqN3nyllrxKSGkWJBBWI3" \
    "neacvFNjiAlyjPix2AHIse3qu6uf-hgCHqEnw5lu76JPX9wfhEkI_L0mRNkhibFDi2nwP8RUzpLYD9wkjB-17SwjI__vmHEb" \
    "4EAQQ1HNRDEALphc6h_txh4A"
#define SAMPLE_RS256_BY_PSS_KEY \
    "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYS1wc3MifQ.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4Y" \
    "W1wbGUiLCJhdWQiOlsiYXBpIiwib3RoZXIiXSwic2NvcGUiOiJyZWFkIHdyaXRlIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiO" \
    "jQwMDAwMDAwMDAsImFkbWluIjpmYWxzZSwibGV2ZWwiOjMsInJvbGVzIjpbImEiLCJiIl0sInJlYWxtX2FjY2VzcyI6eyJyb" \
    "2xlcyI6WyJ4IiwieSJdfSwiaHR0cHM6Ly94LmV4YW1wbGUvdGVuYW50IjoidDEifQ.VKm3BiBngy3fPE4SkJhegzscCFWZMQ" \
    "w73CsnSRXp3laBhfcBz-XLd4-dzrkkMUsD6p7KVVvsc-81HZaWfhU42gMUsJujtkU-HXl31skv-3ii-02uEuipKi3_38GhPI" \
    "YNq1a60tMdHg8A8U-e0t05ptrKzxT15cACKB8996Ulo7A7Wu3EGaiKyuH2oVRTDFmehY0thH4lCNBsth36RAQIbqeLMQLmTV" \
    "oFpWoCG8vV-56pa4X79RfHNJmIj71xXmDF5ekUoVyRibCkr3UG28X_K2JqiET4706OChwwS_eSApeHvIpezZL9pwUW6hStw6" \
    "55tgiCZeyVi1RSOR-3vhE_vQ"
#define SAMPLE_ES256 \
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjIn0.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUi" \
    "LCJhdWQiOlsiYXBpIiwib3RoZXIiXSwic2NvcGUiOiJyZWFkIHdyaXRlIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjQwMDAw" \
    "MDAwMDAsImFkbWluIjpmYWxzZSwibGV2ZWwiOjMsInJvbGVzIjpbImEiLCJiIl0sInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6" \
    "WyJ4IiwieSJdfSwiaHR0cHM6Ly94LmV4YW1wbGUvdGVuYW50IjoidDEifQ.2mIlJUL82V1aj19wxKWBsuS9ARFgdGCLW6OFC" \
    "kz4IK1m7GqFql2zlLZmf2ZW3cXvoCW4xKDsh6KTASJRUx5JOg"
#define SAMPLE_EDDSA \
    "eyJhbGciOiJFZERTQSIsImtpZCI6ImVkIn0.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUi" \
    "LCJhdWQiOlsiYXBpIiwib3RoZXIiXSwic2NvcGUiOiJyZWFkIHdyaXRlIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjQwMDAw" \
    "MDAwMDAsImFkbWluIjpmYWxzZSwibGV2ZWwiOjMsInJvbGVzIjpbImEiLCJiIl0sInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6" \
    "WyJ4IiwieSJdfSwiaHR0cHM6Ly94LmV4YW1wbGUvdGVuYW50IjoidDEifQ.xvZ6aEfKpzzOBZKfexZpV94z2uexuMSV1B5Tp" \
    "DRLnFjk8GZY1KEl6AKaTvG1sTInXi69_hTtDOzTdA5hBKccBw"
#define SAMPLE_NEW \
    "eyJhbGciOiJFUzI1NiIsImtpZCI6Im5ldyJ9.eyJzdWIiOiJuaW5hIiwiaXNzIjoiaHR0cHM6Ly9pc3N1ZXIuZXhhbXBsZSI" \
    "sImF1ZCI6WyJhcGkiLCJvdGhlciJdLCJzY29wZSI6InJlYWQgd3JpdGUiLCJpYXQiOjE3MDAwMDAwMDAsImV4cCI6NDAwMDA" \
    "wMDAwMCwiYWRtaW4iOmZhbHNlLCJsZXZlbCI6Mywicm9sZXMiOlsiYSIsImIiXSwicmVhbG1fYWNjZXNzIjp7InJvbGVzIjp" \
    "bIngiLCJ5Il19LCJodHRwczovL3guZXhhbXBsZS90ZW5hbnQiOiJ0MSJ9.J49vAGVGK4ZgSgBzN8qyxPGzy2P_8ruMfnzPX3" \
    "Y8WlK1hJz0A6zgOXlQOMH0KAGQk5U00Y8VdfTCjZ3-y8wpKw"
#define SAMPLE_BOB \
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjIn0.eyJzdWIiOiJib2IiLCJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIiwi" \
    "YXVkIjpbImFwaSIsIm90aGVyIl0sImlhdCI6MTcwMDAwMDAwMCwiZXhwIjo0MDAwMDAwMDAwLCJhZG1pbiI6ZmFsc2UsInJv" \
    "bGVzIjpbImEiLCJiIl0sInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6WyJ4IiwieSJdfSwiaHR0cHM6Ly94LmV4YW1wbGUvdGVu" \
    "YW50IjoidDEiLCJzY3AiOlsicmVhZCJdfQ.ow_ZQ2t8Xb9sKoj_8WutLt6CYAGH2SYig1jvUDYAwfHngXa--KogSqZ0OdfUl" \
    "9R-fQN81pCUeKHOT4ygZu5oDA"
#define SAMPLE_EXPIRED \
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjIn0.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUi" \
    "LCJhdWQiOlsiYXBpIiwib3RoZXIiXSwic2NvcGUiOiJyZWFkIHdyaXRlIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjE3MDAw" \
    "MDAxMDAsImFkbWluIjpmYWxzZSwibGV2ZWwiOjMsInJvbGVzIjpbImEiLCJiIl0sInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6" \
    "WyJ4IiwieSJdfSwiaHR0cHM6Ly94LmV4YW1wbGUvdGVuYW50IjoidDEifQ.t8txz7znI-k30LjMgr7Pfm8P_AEui_RdSol76" \
    "BKL2aityATb_lbVrcWw2EZKray8wmETLk5Ul6MXasc2TLitAw"
#define SAMPLE_FOREVER \
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjIn0.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUi" \
    "LCJhdWQiOlsiYXBpIiwib3RoZXIiXSwic2NvcGUiOiJyZWFkIHdyaXRlIiwiaWF0IjoxNzAwMDAwMDAwLCJhZG1pbiI6ZmFs" \
    "c2UsImxldmVsIjozLCJyb2xlcyI6WyJhIiwiYiJdLCJyZWFsbV9hY2Nlc3MiOnsicm9sZXMiOlsieCIsInkiXX0sImh0dHBz" \
    "Oi8veC5leGFtcGxlL3RlbmFudCI6InQxIn0.QM8aOfBbYDHyv5b-h31bWp2rFQQlq1Sn78tUJXffld9Qm6gubXt39DUViYeY" \
    "SocnNZ8zD7eNZ53dMVAvd9fckg"
#define SAMPLE_EARLY \
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjIn0.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUi" \
    "LCJhdWQiOlsiYXBpIiwib3RoZXIiXSwic2NvcGUiOiJyZWFkIHdyaXRlIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjQwMDAw" \
    "MDAwMDAsImFkbWluIjpmYWxzZSwibGV2ZWwiOjMsInJvbGVzIjpbImEiLCJiIl0sInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6" \
    "WyJ4IiwieSJdfSwiaHR0cHM6Ly94LmV4YW1wbGUvdGVuYW50IjoidDEiLCJuYmYiOjM5MDAwMDAwMDB9.vEK1wSCdz9PhK6_" \
    "7BK-ghlDf7JLgXpUWwuc6LSst4_WnzzCbWBY_qEY0m6rhcRTsyuzkt091f1gjHGxLXfCzlg"
#define SAMPLE_NO_KID \
    "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsiYXB" \
    "pIiwib3RoZXIiXSwic2NvcGUiOiJyZWFkIHdyaXRlIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjQwMDAwMDAwMDAsImFkbWl" \
    "uIjpmYWxzZSwibGV2ZWwiOjMsInJvbGVzIjpbImEiLCJiIl0sInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6WyJ4IiwieSJdfSw" \
    "iaHR0cHM6Ly94LmV4YW1wbGUvdGVuYW50IjoidDEifQ.UTo9-ILcj7D1X3PGq19WW-312Z5Y1guGnNSr2lmTisFdA3EiWK3P" \
    "MCmtCpC306bsDX-G9i3i_uAtm5zNHfUORQ"
#define SAMPLE_CRIT \
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjIiwiY3JpdCI6WyJ1cm46eCJdLCJ1cm46eCI6MX0.eyJzdWIiOiJhbGljZSIsImlz" \
    "cyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsiYXBpIiwib3RoZXIiXSwic2NvcGUiOiJyZWFkIHdyaXRlIiwi" \
    "aWF0IjoxNzAwMDAwMDAwLCJleHAiOjQwMDAwMDAwMDAsImFkbWluIjpmYWxzZSwibGV2ZWwiOjMsInJvbGVzIjpbImEiLCJi" \
    "Il0sInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6WyJ4IiwieSJdfSwiaHR0cHM6Ly94LmV4YW1wbGUvdGVuYW50IjoidDEifQ.V" \
    "dTLmRmlkba1miu7B9p2YUJcHec3raqb--pXk1ptDehUNzISx7UOjvJdApEfT3zTV54e7gTtRgsX0cyh9sICuw"
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
    "6WyJ4IiwieSJdfSwiaHR0cHM6Ly94LmV4YW1wbGUvdGVuYW50IjoidDEifQ.w0ocXVLX3ArfpxfTa3SIVGGSsQWAugBkjv3S" \
    "228J87c"
#define SAMPLE_CONFUSED_N \
    "eyJhbGciOiJIUzI1NiIsImtpZCI6InJzYSJ9.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGU" \
    "iLCJhdWQiOlsiYXBpIiwib3RoZXIiXSwic2NvcGUiOiJyZWFkIHdyaXRlIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjQwMDA" \
    "wMDAwMDAsImFkbWluIjpmYWxzZSwibGV2ZWwiOjMsInJvbGVzIjpbImEiLCJiIl0sInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI" \
    "6WyJ4IiwieSJdfSwiaHR0cHM6Ly94LmV4YW1wbGUvdGVuYW50IjoidDEifQ.F3XRa5DLdZwzHclQSeH2Vwpl7vhX2d6qLxl7" \
    "MSKNpqE"
/* clang-format on */

#endif
