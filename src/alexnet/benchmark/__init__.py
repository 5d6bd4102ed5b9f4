"""What a machine reaches, alone and beside other programs."""
