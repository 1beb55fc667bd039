def ak_user_has_authenticator(user, device_type=None):
    return any(not device_type or kind == device_type for kind in user._authenticators)
