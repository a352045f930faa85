list(APPEND plugin_libs PkgConfig::HIREDIS PkgConfig::OPENSSL)
