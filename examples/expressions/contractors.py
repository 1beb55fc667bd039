# Contractors may spend less than staff.
limit = 1000 if ak_is_group_member(request.user, name="staff") else 100
if ak_is_group_member(request.user, name="contractors"):
    limit = 100
if context.get("amount", 0) > limit:
    ak_message(f"{request.user.username} may spend up to {limit}")
    return False
return True
